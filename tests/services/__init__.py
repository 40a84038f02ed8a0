"""Throw-away servers of a test run: each starts on loopback with a random password and leaves nothing behind."""

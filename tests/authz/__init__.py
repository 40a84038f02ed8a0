"""Tokens, role templates, and the compiler of scopes against a slow and obvious oracle."""

"""What happened to a fan, in order."""

"""The commands of `scrm`, a file for each kind of work."""

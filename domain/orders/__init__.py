"""Orders and their lines, from our own mall and from other systems."""

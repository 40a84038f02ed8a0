"""A person's relation to one brand."""

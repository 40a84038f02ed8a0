"""How fast events come in."""

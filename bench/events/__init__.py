"""How fast events come in, and what was stored of them is read, at ten million."""

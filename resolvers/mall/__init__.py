"""The points mall."""

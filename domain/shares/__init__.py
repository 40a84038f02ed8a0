"""Who passed which content to whom: cascades and their edges."""

"""Our server beside the two a user would otherwise pick, on the same database, answering the same questions."""

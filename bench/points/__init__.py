"""How fast points are earned and spent, beside the database alone."""

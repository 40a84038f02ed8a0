"""The large data set: a PostgreSQL cluster that keeps its data directory, and rows that are the same everywhere."""

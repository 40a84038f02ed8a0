"""The graph of fans: a projection of the SQL truth on Neo4j or the embedded engine."""

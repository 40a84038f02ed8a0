"""The business: tables, rules, writes and reads. Imports no web, GraphQL, graph or policy library."""

"""How a field is answered: thin, typed functions from arguments to domain rows. No SQL, no rule, no GraphQL type."""

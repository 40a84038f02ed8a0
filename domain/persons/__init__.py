"""One natural person in a group (OneID) and the identities that lead to them."""

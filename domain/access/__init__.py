"""Who may do what: staff, API keys, roles and the grants that tie them to nodes of the tenancy."""

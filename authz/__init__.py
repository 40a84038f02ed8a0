"""Who the caller is and what they may reach: tokens, role templates decided by Casbin, grants compiled to a scope."""

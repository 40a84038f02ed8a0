"""Who brought whom to a brand."""

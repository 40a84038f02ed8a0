"""What fans agreed to, purpose by purpose (同意)."""

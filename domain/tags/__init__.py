"""Tags and who carries them."""

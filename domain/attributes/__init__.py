"""What a brand wants to know of its fans beyond the profile everybody has."""

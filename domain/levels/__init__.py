"""Levels of a brand's fans: a ladder of thresholds on growth, and where each fan stands on it (等级)."""

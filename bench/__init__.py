"""Measurements. Each ends with its bars: `BAR <name>: <measured> (bar <x>) holds`, or `falls short`."""

"""The differential fuzz: random operations for every caller, answered by every executor, identical to the byte."""

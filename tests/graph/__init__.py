"""The graph on whichever engine the run uses, and the embedded engine itself."""

"""Composition root: settings, the application, the worker and the command line."""

"""`python -m server` is `scrm`."""

from server.cli import main

main()

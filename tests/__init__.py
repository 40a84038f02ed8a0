"""The test suite. `conftest.py` says which database and graph engine a run uses."""

"""Mutation testing: single faults in copies of the code; a test must fail for each. `make mutants` runs a sample.

`faults.py` makes them, `table.py` names the tests that must notice, `__main__.py` runs them.
"""

"""Faults made on purpose: `make torture` runs every campaign whole, `make test` a slice of each.

`python -m tests.torture [CAMPAIGN …] [--slice]` prints one line of figures a campaign; docs/reliability.md keeps them.
"""

"""Fault injection: `make torture` runs every campaign completely, `make test` a slice of each.

`python -m tests.torture [CAMPAIGN …] [--slice]` prints one line of figures per campaign; docs/reliability.md
keeps them.
"""

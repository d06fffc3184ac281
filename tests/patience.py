"""How long tests wait for a condition: no longer than necessary, and longer than any stall of the machine."""

from collections.abc import Callable
from time import monotonic, sleep

PATIENCE = 120.0
"""Seconds. A busy machine may stall for ten of them."""


def until(is_so: Callable[[], object], said: Callable[[], object] = lambda: "it did not come to that") -> None:
    """Wait until `is_so()`; an AssertionError with what is `said` when PATIENCE is over."""
    end = monotonic() + PATIENCE
    while not is_so():
        assert monotonic() < end, said()
        sleep(0.02)

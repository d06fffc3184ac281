"""The engine's process without its lever against collections: the peer of `cold_start`."""

import gc

from invoke.engine.process import worker


def main() -> None:
    """Called in a fresh process."""
    gc.disable = gc.freeze = lambda: None  # type: ignore[assignment]
    worker.main()

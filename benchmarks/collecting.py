"""The engine process without the import optimisation: the peer of `cold_start`."""

import gc

from invoke.engine.process import worker


def main() -> None:
    """Called in a fresh process."""
    worker.spare_imports = gc.freeze = lambda: None
    worker.main()

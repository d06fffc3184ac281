"""An answer of the completion in a folder of 5,000 pictures.

python -m benchmarks.completion
"""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from invoke.command.suggest import suggest
from invoke.engine.remote import RemoteEngine
from invoke.models import read_registry
from invoke.session import Session
from invoke.shell.offer import sources

FILES = 5000
TURNS = 9


def main() -> None:
    """Print the median and the longest of several answers."""
    models = read_registry()
    offered = sources(Session(RemoteEngine(models), models))
    with TemporaryDirectory() as folder:
        for number in range(FILES):
            (Path(folder) / f"IMG {number:05}.png").touch()
        times = []
        for _ in range(TURNS):
            started = perf_counter()
            suggest(f"a cat -I {folder}/IMG", offered)
            times.append(perf_counter() - started)
    print(f"completion among {FILES:,} files   {1000 * median(times):.0f} ms, longest {1000 * max(times):.0f} ms")


if __name__ == "__main__":
    main()

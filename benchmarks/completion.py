"""Completion in a folder of 5,000 pictures."""

from collections.abc import Iterator
from statistics import median
from time import perf_counter

from benchmarks.bench import Bench
from benchmarks.results import Row
from invoke.engine.process.remote import RemoteEngine
from invoke.language.complete import suggest
from invoke.models import read_registry
from invoke.session import Session

FILES = 5000
TURNS = 9


def completion(bench: Bench) -> Iterator[Row]:
    """The median and the maximum of several answers."""
    from invoke.shell.completer import sources

    models = read_registry()
    offered = sources(Session(RemoteEngine(models), models))
    folder = bench.work / "many"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"IMG {number:05}.png").touch()
    times = []
    for _ in range(TURNS):
        began = perf_counter()
        suggest(f"a cat -I {folder}/IMG", offered)
        times.append(1000 * (perf_counter() - began))
    yield Row(what=f"completion among {FILES:,} files", facts={"ms": median(times), "ms at most": max(times)})

"""`--dry-run` of 10,000 and of 50,000 lines: seconds, and how much memory grows with the lines."""

import subprocess
from collections.abc import Iterator
from itertools import cycle, islice
from tempfile import TemporaryFile
from time import monotonic

from benchmarks.bench import Bench, LeftOutError
from benchmarks.machine import ROOT
from benchmarks.processes import INVOKE, peak_memory
from benchmarks.results import Row

LINES = (
    '"fire" -s10 -S1592514025 -I test-pictures/fire-drawing.png --strength 0.7',
    "tree on a hill with a river, painting -n4 -C7.5",
    "a boat -I test-pictures/photo-with-hole.png -W256 -H256 --fit",
    "castle at night -A k_heun -s 30 -W 384 -H 256",
)


def planning(bench: Bench) -> Iterator[Row]:
    """Seconds and the most memory for both lengths."""
    if bench.quick:
        raise LeftOutError("it takes a minute")
    few, many = _plan(10_000), _plan(50_000)
    for count, (seconds, peak) in ((10_000, few), (50_000, many)):
        yield Row(what=f"--dry-run of {count:,} lines", facts={"s": seconds, "MB": peak})
    yield Row(what="memory of 50,000 lines against 10,000", facts={"times as much": many[1] / few[1]})


def _plan(count: int) -> tuple[float, float]:
    with TemporaryFile("w+") as lines:
        lines.writelines(f"{line}\n" for line in islice(cycle(LINES), count))
        lines.seek(0)
        began = monotonic()
        with subprocess.Popen(
            [*INVOKE, "--dry-run", "--json"], stdin=lines, stdout=subprocess.DEVNULL, cwd=ROOT
        ) as process:
            peak = peak_memory(process)
        assert process.returncode == 0
    return monotonic() - began, peak

"""Many engines: how much faster workers are, and what the one process costs that plans and saves."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench
from benchmarks.files import LINES
from benchmarks.processes import children, run_to_end
from benchmarks.prompt_session import PROMPTS
from benchmarks.results import Row
from benchmarks.stock import question

ONE = "--threads 1 --workers 1"
SIDES = ("", ONE, "--workers 2", "--workers 4")
PLANNED = 100_000
SAVED = 25_000
EARLY = 2_500
"""Pictures after which memory should no longer grow."""
SIZE = 256
"""Of a no-op picture: about 200 kB of noise."""


def scale(bench: Bench) -> Iterator[Row]:
    """A file on one engine, on workers, and in a loop over the stock pipeline; then the figures of one process."""
    model = bench.pocket
    count = 20 if bench.quick else LINES
    jobs = [replace(model.job, prompt=PROMPTS[number % 6], seed=number) for number in range(count)]
    lines, outdir = bench.work / "scale.txt", bench.work / "scale"
    outdir.mkdir(exist_ok=True)

    def run(words: str, turn: int) -> None:
        text = "\n".join(replace(job, seed=job.seed + 1000 * turn).line() for job in jobs)
        lines.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "invoke", "-q", "--from-file", str(lines), "-m", str(model.path)]
        subprocess.run([*command, "-o", str(outdir), *words.split()], check=True, stdout=subprocess.DEVNULL)

    def stock(turn: int) -> None:
        asked = question([replace(job, seed=job.seed + 1000 * turn) for job in jobs], outdir)
        command = [sys.executable, "-m", "benchmarks.stock", str(model.path), "float32"]
        run_to_end(command, [asked], "ready")

    sides = {words: Side(partial(run, words), children) for words in SIDES} | {"stock": Side(stock, children)}
    costs = in_turns(sides, turns=min(bench.turns, 3), warm_up=False)
    what = f"{model.name}: a file of {count} lines, 256×256, 20 steps; the whole process"
    for ours, peer, name, goal in (
        ("--workers 2", "", "invoke, one engine", 1.25),
        ("--workers 2", ONE, f"invoke {ONE}", 1.7),
        ("--workers 4", "", "invoke, one engine", None),
        ("--workers 2", "stock", "diffusers, float32, in a loop", 1.9),
    ):
        yield Row(
            what=what,
            ours=f"invoke {ours}",
            peer=name,
            ours_costs=costs[ours],
            peer_costs=costs[peer],
            pictures=count,
            goal=goal,
        )
    for text in overhead(SAVED // 10 if bench.quick else SAVED, PLANNED // 10 if bench.quick else PLANNED):
        print(text, flush=True)


def overhead(saved: int, planned: int) -> Iterator[str]:
    """Of the process that plans and saves: CPU a picture, planning a line, memory. Workers that answer at once."""
    yield _output(["-c", f"from benchmarks.scale import save; save({saved})"])
    yield _output(["-c", f"from benchmarks.scale import plan; plan({planned})"])


def _output(words: Sequence[str]) -> str:
    return subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True).stdout.strip()


def save(count: int) -> None:
    """Save `count` no-op pictures that come from workers."""
    from benchmarks.noop_lanes import NoopLanes
    from invoke.models import read_registry
    from invoke.session import Session
    from invoke.workers.pool import WorkerPool
    from tests.fakes import FakeEngine

    with TemporaryDirectory() as folder:
        session = Session(FakeEngine(), read_registry(), launch={"outdir": folder, "width": SIZE, "height": SIZE})
        lanes = NoopLanes(4, SIZE)
        pool = WorkerPool(lanes, session.remember)
        began, memory = process_time(), 0.0
        for number in range(count):
            plan = session.claim(session.plan(f"picture {number} -S {number}"))
            pool.open(number, plan, session.files(plan))
            while not pool.has_room:
                for _ in pool.pump(1.0):
                    pass
            if number == min(EARLY, count // 2):
                memory = _memory()
            began += _thrown_away(
                Path(folder) / f"{number - 200:06}.{number - 201}.png"
            )  # keeps the disk from filling up
        while not pool.is_idle:
            for _ in pool.pump(1.0):
                pass
        cost = (process_time() - began - lanes.own) / count * 1000
        grown = _memory() - memory
        size = next(Path(folder).glob("*.png")).stat().st_size
        print(f"{count:,} pictures of {size / 1000:.0f} kB planned, claimed and saved: {cost:.2f} ms of CPU each")
        print(f"memory from picture {min(EARLY, count // 2):,} to the last: {grown:+.1f} MB")


def _thrown_away(path: Path) -> float:
    """Remove the file of an earlier picture; the CPU time that it took."""
    began = process_time()
    path.unlink(missing_ok=True)
    return process_time() - began


def plan(count: int) -> None:
    """Plan `count` lines."""
    from invoke.models import read_registry
    from invoke.session import Session
    from tests.fakes import FakeEngine

    session = Session(FakeEngine(), read_registry())
    began, memory = process_time(), 0.0
    for number in range(count):
        session.plan(f"picture {number} -S {number}")
        if number == count // 10:
            memory = _memory()
    each = (process_time() - began) / count * 1000
    print(f"{count:,} lines planned: {each:.2f} ms of CPU each, memory {_memory() - memory:+.1f} MB")


def _memory() -> float:
    """Of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    for row in overhead(SAVED, PLANNED):
        print(row, flush=True)

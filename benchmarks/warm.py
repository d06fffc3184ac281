"""Start-up with a warm engine (`--warm`), and cold starts with and without the import optimisation."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import psutil

from benchmarks.alternating import Cost
from benchmarks.bench import Bench
from benchmarks.machine import ROOT
from benchmarks.processes import INVOKE, children
from benchmarks.results import Row
from invoke.engine.process.remote import RemoteEngine
from invoke.events import Finished
from invoke.models import read_registry
from invoke.options import EngineOptions
from invoke.session import Session

SECONDS = 0.4
"""Limit of a warm start in seconds, without the picture's own time."""
SHARE = 0.83
"""Largest fraction of the CPU time of a plain cold start that the optimised one may take."""
COLLECTING = "benchmarks.collecting"


def warm_start(bench: Bench) -> Iterator[Row]:
    """One line in a whole program, with and without a warm engine: 64×64, one step, 25 times."""
    line = "a castle -s 1 -W 64 -H 64 -S 1 --save_intermediates 0"
    turns = 25 if not bench.quick else 9
    warm, cold, around = [], [], []
    with _place() as environment:
        _run(line, bench, environment)
        for turn in range(turns):
            cost, own = _run(line, bench, environment)
            warm.append(cost)
            around.append(cost.wall - own)
            if turn % 5 == 0:
                cold.append(_run(line, bench, environment, "--no-warm")[0])
        subprocess.run([*INVOKE, "--cool"], env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    best = median(around)
    yield Row(
        what="process start → picture, 64×64, 1 step, warm engine",
        ours_costs=warm,
        facts={
            "s cold": median(cost.wall for cost in cold),
            "processor s of the program": median(cost.processor for cost in warm),
            "s without the picture": best,
            f"at most {SECONDS} s": best <= SECONDS,
        },
    )


def cold_start(bench: Bench) -> Iterator[Row]:
    """CPU time of an engine from its start to its first picture, with and without the import optimisation."""
    costs: Mapping[str, list[Cost]] = {"ours": [], COLLECTING: []}
    for turn in range(max(5, bench.turns)):
        for module in sorted(costs, reverse=turn % 2 == 0):
            costs[module].append(_first_picture(module, turn))
    share = median(
        ours.processor / other.processor for ours, other in zip(costs["ours"], costs[COLLECTING], strict=True)
    )
    yield Row(
        what="engine start → first picture, 64×64, 1 step",
        peer="the same with collections during the imports, and with peft where it is installed",
        ours_costs=costs["ours"],
        peer_costs=costs[COLLECTING],
        facts={
            "processor s": median(cost.processor for cost in costs["ours"]),
            "processor s of the other": median(cost.processor for cost in costs[COLLECTING]),
            "share": share,
            f"at most {SHARE}": share <= SHARE,
        },
    )


def _first_picture(module: str, turn: int) -> Cost:
    options = {"module": module} if module == COLLECTING else {}
    models = read_registry()
    with closing(RemoteEngine(models, EngineOptions(device="cpu"), **options)) as engine:
        request = Session(engine, models).plan(f"a castle -s 1 -W 64 -H 64 -S {turn}").picture(0).request
        began = perf_counter()
        assert any(isinstance(event, Finished) for event in engine.generate(request))
        wall = perf_counter() - began
        assert engine._process is not None
        return Cost(wall, sum(psutil.Process(engine._process.pid).cpu_times()[:2]))


def _run(line: str, bench: Bench, environment: Mapping[str, str], option: str = "--warm=5m") -> tuple[Cost, float]:
    """The cost of a whole program, and of its picture in the engine."""
    words = [*INVOKE, "--json", "--offline", "--device", "cpu", option, "-o", str(bench.work / "warm"), line]
    began, used = perf_counter(), children()
    done = subprocess.run(words, env=dict(environment), cwd=ROOT, check=True, stdout=subprocess.PIPE)
    cost = Cost(perf_counter() - began, children() - used)
    events = map(json.loads, done.stdout.splitlines())
    own = next(event["recipe"]["facts"]["seconds"] for event in events if event["type"] == "image")
    return cost, own


@contextmanager
def _place() -> Iterator[dict[str, str]]:
    """An environment in which only our engine waits."""
    with TemporaryDirectory() as folder:
        yield os.environ | {"XDG_RUNTIME_DIR": folder}

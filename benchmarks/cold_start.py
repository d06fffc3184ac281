"""Whole processes that make one picture, memory included."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench
from benchmarks.machine import ROOT
from benchmarks.processes import MAKING, children, peak_memory, run_to_end
from benchmarks.results import Row
from benchmarks.stock import question


def first_picture(bench: Bench) -> Iterator[Row]:
    """Process start → the first picture on disk → process end."""
    model, outdir = bench.pocket, bench.work / "first"
    outdir.mkdir()

    def ours(turn: int) -> None:
        command = [*MAKING, "-m", str(model.path), "-o", str(outdir)]
        run_to_end(command, [replace(model.job, seed=turn).line()], "session")

    def theirs(turn: int) -> None:
        command = [sys.executable, "-m", "benchmarks.stock", str(model.path), "float32"]
        run_to_end(command, [question([replace(model.job, seed=turn)], outdir)], "ready")

    sides = {"ours": Side(ours, children), "theirs": Side(theirs, children)}
    costs = in_turns(sides, turns=bench.turns)
    yield Row(
        what="pocket: process start → first picture, 256×256, 20 steps",
        peer="diffusers, float32",
        ours_costs=costs["ours"],
        peer_costs=costs["theirs"],
        facts={"MB at most, both our processes": _peak_memory(bench)},
    )


def _peak_memory(bench: Bench) -> float:
    """MB used by the program and its worker while they make a picture."""
    model = bench.pocket
    line = f"{model.job.line()} --save_intermediates 0"
    command = [*MAKING, "-m", str(model.path), "-o", str(bench.work / "first"), line]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        return peak_memory(process)

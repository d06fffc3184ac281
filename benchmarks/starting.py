"""Whole processes that make one picture, memory included."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from time import sleep

import psutil

from benchmarks.bench import Bench
from benchmarks.machine import ROOT
from benchmarks.processes import MAKING, children, run_to_end
from benchmarks.results import Row
from benchmarks.stock import question
from benchmarks.turns import Side, in_turns


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
    """MB that the program and its worker hold together while they make a picture."""
    model = bench.pocket
    line = f"{model.job.line()} --save_intermediates 0"
    process = subprocess.Popen(
        [*MAKING, "-m", str(model.path), "-o", str(bench.work / "first"), line],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    peak = 0
    while process.poll() is None:
        sleep(0.05)
        with suppress(psutil.NoSuchProcess):
            mother = psutil.Process(process.pid)
            family = [mother, *mother.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in family))
    return peak / 2**20

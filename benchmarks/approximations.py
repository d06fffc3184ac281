"""What is asked for to be sooner at the price of other pixels: how much sooner, and how far from the exact picture."""

from collections.abc import Iterator
from contextlib import closing
from math import log10
from statistics import median

import numpy as np

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench
from benchmarks.in_process import InProcess
from benchmarks.jobs import Job
from benchmarks.results import Row

SWITCHES = ("--reuse 2", "--reuse 3", "--reuse 5", "--cfg_interval 0:0.7", "--cfg_interval 0.1:0.6")
SHADES = 255


def approximations(bench: Bench) -> Iterator[Row]:
    """Each switch beside the same line without it: the built-in model, 256², 20 steps, one seed a turn."""
    with closing(InProcess(bench.pocket.path, bench.work / "near", device="cpu", precision="float32")) as session:
        made: dict[tuple[str, int], bytes] = {}

        def make(switches: str, turn: int) -> None:
            (made[switches, turn],) = session.make(Job(prompt="a castle at night, painting", seed=turn).line(switches))

        def side(switches: str) -> Side:
            return Side(lambda turn: make(switches, turn))

        costs = in_turns({name: side(name) for name in ("", *SWITCHES)}, turns=bench.turns)
        for switches in SWITCHES:
            near = [_psnr(made["", turn], made[switches, turn]) for name, turn in made if name == switches]
            yield Row(
                what=f"pocket, 256×256, 20 steps: {switches}",
                peer="the same line without it",
                ours_costs=costs[switches],
                peer_costs=costs[""],
                facts={"dB PSNR, median": median(near)},
            )


def _psnr(one: bytes, other: bytes) -> float:
    """10 log₁₀(255² / mean squared error); 99 for equal pictures."""
    first, second = (np.frombuffer(data, np.uint8).astype(float) for data in (one, other))
    error = float(((first - second) ** 2).mean())
    return 10 * log10(SHADES**2 / error) if error else 99.0

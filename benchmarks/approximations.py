"""Switches compared with the same line without them: time saved or lost, and difference of the picture."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from math import log10
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench
from benchmarks.in_process import InProcess
from benchmarks.jobs import Job
from benchmarks.prompt_session import DRAWING
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


MOST = 2
"""Per cent that a strength for each pixel may cost more than one for all."""
BRIGHTEST, STRENGTH = 204, 0.8
"""The right end of the map, and what it means: both sides take as many steps, and both encode the init picture."""


def strength_map(bench: Bench) -> Iterator[Row]:
    """Image-to-image with a strength of its own for each pixel, beside `-f`: as many steps, on both sides."""
    drawing, ramp = f'-I "{DRAWING}"', bench.work / "ramp.png"
    Image.fromarray(np.tile(np.arange(BRIGHTEST + 1, dtype=np.uint8), (BRIGHTEST + 1, 1))).save(ramp)
    plain = f"-f {STRENGTH}"
    ways = {plain: f"{drawing} {plain}", "--strength_map": f'{drawing} --strength_map "{ramp}"'}
    with closing(InProcess(bench.pocket.path, bench.work / "map", device="cpu", precision="float32")) as session:

        def side(switches: str) -> Side:
            return Side(lambda turn: session.make(Job(steps=20, seed=turn).line(switches)))

        costs = in_turns({name: side(switches) for name, switches in ways.items()}, turns=bench.turns)
        pairs = zip(costs["--strength_map"], costs[plain], strict=True)
        more = 100 * (median(mapped.processor / one.processor for mapped, one in pairs) - 1)
        yield Row(
            what="pocket, 256×256, 20 steps: --strength_map",
            peer=f"the same line with {plain}",
            ours_costs=costs["--strength_map"],
            peer_costs=costs[plain],
            facts={"% more processor time": more, f"at most {MOST} %": more <= MOST},
        )


FEW = ("-s 4 -C 1 -A lcm", "-s 4 -C 1 -A tcd", "-s 4 -C 1 -A ddim", "-s 4 -C 1 -A k_euler")
"""The samplers of few-step models."""


def few_steps(bench: Bench) -> Iterator[Row]:
    """A picture in four calls without guidance, beside 50 guided steps; training does not affect the cost."""
    models = [bench.pocket] if bench.quick else [bench.pocket, bench.random("sd15")]
    for model in models:
        job = replace(model.job, steps=50, sampler="k_lms")
        base, *few = job.line(), *(replace(job, steps=4).line(switches) for switches in FEW)
        with closing(InProcess(model.path, bench.work / "few", device="cpu")) as session:

            def side(line: str, session: InProcess = session) -> Side:
                return Side(lambda turn: session.make(f"{line} -S {turn}"))

            turns = bench.turns if model is bench.pocket else 1
            costs = in_turns({line: side(line) for line in (base, *few)}, turns=turns, warm_up=model is not models[-1])
            for switches, line in zip(FEW, few, strict=True):
                yield Row(
                    what=f"{model.name}, {job.width}×{job.height}: {switches}",
                    peer="-s 50 -C 7.5 -A k_lms",
                    ours_costs=costs[line],
                    peer_costs=costs[base],
                )


def _psnr(one: bytes, other: bytes) -> float:
    """10 log₁₀(255² / mean squared error); 99 for equal pictures."""
    first, second = (np.frombuffer(data, np.uint8).astype(float) for data in (one, other))
    error = float(((first - second) ** 2).mean())
    return 10 * log10(SHADES**2 / error) if error else 99.0

"""Frequent work at the prompt, with the model loaded."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import psutil

from benchmarks import machine
from benchmarks.bench import Bench, LeftOutError, Model
from benchmarks.jobs import Job
from benchmarks.processes import Theirs
from benchmarks.results import Row

PROMPTS = ("a fire", "a castle at night", "a boat by the sea", "a tree on a hill", "a house, painting", "a river")
HOLED = machine.ROOT / "test-pictures" / "photo-with-hole.png"
DRAWING = machine.ROOT / "test-pictures" / "fire-drawing.png"
FOUR = 4
SMALL, LARGE, LARGE_BY_MATRICES, TOGETHER = 1.1, 2.6, 3.5, 1.45
"""Goals against the stock pipeline's float32: of the built-in model, and of large networks, which are computed in
bfloat16 where the processor multiplies it, better still with instructions for matrices."""
ENOUGH_FOR_XL = 40 * 2**30
"""Bytes: the stock pipeline in float32 takes 14 GB of them, each side in half precision 7."""
GUIDANCE = tuple(1.5 + k for k in range(10))


def another_prompt(bench: Bench) -> Iterator[Row]:
    """The second picture of a session: another prompt, another seed."""
    for model in _models(bench):
        yield from _one(bench, "the next picture", model, partial(_other, model), waiting=model.name == "pocket")


def another_seed(bench: Bench) -> Iterator[Row]:
    """The same prompt, another seed."""
    for model in _models(bench):
        yield from _one(bench, "the same prompt, another seed", model, partial(_job, model))


def four(bench: Bench) -> Iterator[Row]:
    """`-n 4`; of larger networks it is four times another seed."""
    yield from _four(bench, bench.pocket, "-n 4")


def four_together(bench: Bench) -> Iterator[Row]:
    """`--batch_size 4 -n 4`."""
    for model in _models(bench):
        yield from _four(bench, model, "--batch_size 4 -n 4", TOGETHER)


def sweep(bench: Bench) -> Iterator[Row]:
    """Ten values of one switch, and their sheet."""
    values = ",".join(f"{value:g}" for value in GUIDANCE)
    model = bench.pocket
    yield from bench.compare(
        f"--sweep over ten guidance scales, {_of(model)}",
        model,
        lambda ours, turn: ours.make(_job(model, turn).line(f"--sweep cfg_scale={values}"), pictures=10, sheet="sweep"),
        {
            "in a loop": lambda stock, turn: stock.make(
                [replace(_job(model, turn), guidance_scale=value) for value in GUIDANCE]
            )
        },
        pictures=10,
    )


def variations(bench: Bench) -> Iterator[Row]:
    """`-v 0.3 -n 4`: the noise of one seed, leant towards four others."""
    if bench.quick:
        raise LeftOutError("it is the work of -n 4")
    yield from _four(bench, bench.pocket, "-v 0.3 -n 4")


def strengths(bench: Bench) -> Iterator[Row]:
    """Image-to-image at three strengths, the init picture the same throughout."""
    models = [bench.pocket] if bench.quick else [bench.pocket, bench.random("sd15", steps=8)]
    for model in models:
        for strength in (0.3, 0.7, 1.0):
            asked = partial(_job, model, init_image=str(DRAWING), strength=strength)
            yield from _one(bench, f"-I at strength {strength:g}", model, asked)


def inpainting(bench: Bench) -> Iterator[Row]:
    """The transparent part of a picture repainted."""
    model = bench.pocket
    asked = partial(_job, model, init_image=str(HOLED), strength=0.75, is_holed=True)
    yield from _one(bench, "inpainting at strength 0.75", model, asked)


def switching(bench: Bench) -> Iterator[Row]:
    """`!switch` to another model and back, a picture on each."""
    model, other = bench.pocket, bench.random("tiny")
    there = replace(other.job, width=256, height=256, steps=2)

    def ours(turn: int) -> list[str]:
        away, back = (f"!switch {path}" for path in (other.path, model.path))
        return [away, replace(there, seed=turn).line(), back, _job(model, turn).line()]

    def reloading(stock: Theirs, turn: int) -> None:
        stock.make([replace(there, seed=turn, model=str(other.path))], reload=str(other.path))
        stock.make([_job(model, turn)], reload=str(model.path))

    yield from bench.compare(
        "!switch to another model and back, a picture on each",
        model,
        lambda session, turn: session.make(*ours(turn), pictures=2),
        {
            "loaded again each time": reloading,
            "both kept by the script": lambda stock, turn: stock.make(
                [replace(there, seed=turn, model=str(other.path)), _job(model, turn)]
            ),
        },
        pictures=2,
    )


def _one(bench: Bench, what: str, model: Model, asked: Callable[[int], Job], *, waiting: bool = False) -> Iterator[Row]:
    """The picture that is `asked` for in each turn; `waiting`: see `Bench.theirs`."""
    yield from bench.compare(
        f"{what}, {_of(model)}",
        model,
        lambda ours, turn: ours.make(asked(turn).line()),
        {"": lambda stock, turn: stock.make([asked(turn)])},
        goal=_goal(model),
        waiting=waiting,
    )


def _four(bench: Bench, model: Model, switches: str, goal: float | None = None) -> Iterator[Row]:
    yield from bench.compare(
        f"{switches}, {_of(model)}",
        model,
        lambda ours, turn: ours.make(_job(model, FOUR * turn).line(switches), pictures=FOUR),
        {
            "in a loop": lambda stock, turn: stock.make([_job(model, FOUR * turn + k) for k in range(FOUR)]),
            "num_images_per_prompt=4": lambda stock, turn: stock.make([_job(model, FOUR * turn)], count=FOUR),
        },
        pictures=FOUR,
        goal=goal,
    )


def _goal(model: Model) -> float:
    if model.name == "pocket" or not machine.bfloat16():
        return SMALL
    return LARGE_BY_MATRICES if machine.bfloat16() == "AMX" else LARGE


def _models(bench: Bench) -> Iterator[Model]:
    """The built-in one; where there is time, also the networks of Stable Diffusion 1.5 and what fits of XL."""
    yield bench.pocket
    if not bench.quick:
        yield bench.random("sd15")
        if psutil.virtual_memory().available > ENOUGH_FOR_XL:
            yield bench.random("sdxl", width=512, height=512, steps=2, sampler="k_euler")


def _job(model: Model, seed: int, **changes: Any) -> Job:
    return replace(model.job, seed=seed, **changes)


def _other(model: Model, seed: int) -> Job:
    return _job(model, seed, prompt=f"{PROMPTS[seed % len(PROMPTS)]}, {seed}")


def _of(model: Model) -> str:
    return f"{model.job.width}×{model.job.height}, {model.job.steps} steps"

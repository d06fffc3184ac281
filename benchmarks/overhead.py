"""Overhead around the networks, in this process: time, saved calls, PNG files."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from io import BytesIO

import numpy as np

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench
from benchmarks.in_process import InProcess
from benchmarks.jobs import Job
from benchmarks.prompt_session import DRAWING
from benchmarks.results import Fact, Row
from benchmarks.stock import Stock
from benchmarks.stub_networks import counted, stubbed
from invoke.events import Finished, Pixels
from invoke.outputs import png

PICTURES = 10
"""Repetitions per turn of what takes milliseconds."""
MILLISECONDS = 5
"""Limit of a picture's time outside the networks."""


def glue(bench: Bench) -> Iterator[Row]:
    """Time outside the networks, from a line to pixels: 512², 50 steps at strength 0.75, and text-to-image."""
    job = Job(width=512, height=512, steps=50)
    ways = {"-I at strength 0.75": replace(job, init_image=str(DRAWING)), "text-to-image": job}
    model = bench.random("tiny").path
    with stubbed(), closing(InProcess(model, bench.work / "glue", device="cpu", precision="float32")) as ours:
        stock = Stock(str(model), "float32", "cpu")

        def drawn(asked: Job, turn: int) -> None:
            for k in range(PICTURES):
                request = ours.session.plan(replace(asked, seed=PICTURES * turn + k).line()).picture(0).request
                assert any(isinstance(event, Finished) for event in ours.engine.generate(request))

        def theirs(asked: Job, turn: int) -> None:
            for k in range(PICTURES):
                stock.make(replace(asked, seed=PICTURES * turn + k))

        for way, asked in ways.items():
            sides = {
                "ours": Side(lambda turn, asked=asked: drawn(asked, turn)),  # type: ignore[misc]
                "theirs": Side(lambda turn, asked=asked: theirs(asked, turn)),  # type: ignore[misc]
            }
            costs = in_turns(sides, turns=bench.turns)
            best = 1000 * min(cost.wall for cost in costs["ours"]) / PICTURES
            yield Row(
                what=f"outside the networks, 512×512, 50 steps, {way}",
                peer="diffusers, float32",
                ours_costs=costs["ours"],
                peer_costs=costs["theirs"],
                pictures=PICTURES,
                goal=4,
                facts={"ms at best": best, f"at most {MILLISECONDS} ms": best <= MILLISECONDS},
            )


def saved_calls(bench: Bench) -> Iterator[Row]:
    """Number of network calls for the second picture with the same prompt and init picture."""
    model, job = bench.random("tiny").path, Job(width=64, height=64, steps=4, init_image=str(DRAWING))
    with (
        counted() as counts,
        closing(InProcess(model, bench.work / "calls", device="cpu", precision="float32")) as ours,
    ):
        stock = Stock(str(model), "float32", "cpu")
        facts: dict[str, Fact] = {}
        for who, make in (("ours", lambda j: ours.make(j.line())), ("stock", stock.make)):
            make(job)
            before = dict(counts)
            make(replace(job, seed=1))
            facts |= {f"{name}, {who}": counts[name] - before[name] for name in ("text encodes", "VAE encodes")}
    yield Row(what="networks asked again for the same words and init picture", peer="diffusers", facts=facts)


def files(bench: Bench) -> Iterator[Row]:
    """PNG files: our writer against Pillow's, both at level 6."""
    from PIL import Image

    for side in (512, 1024):
        for name, picture in (("noisy", _noisy(side)), ("smooth", _smooth(side))):
            pixels, image = Pixels(side, side, picture.tobytes()), Image.fromarray(picture)
            sizes: dict[str, int] = {}

            def ours(turn: int, pixels: Pixels = pixels, sizes: dict[str, int] = sizes) -> None:
                for _ in range(PICTURES):
                    sizes["ours"] = len(png.encode(pixels, 6))

            def pillow(turn: int, image: Image.Image = image, sizes: dict[str, int] = sizes) -> None:
                for _ in range(PICTURES):
                    file = BytesIO()
                    image.save(file, "PNG", compress_level=6)
                    sizes["Pillow"] = len(file.getvalue())

            costs = in_turns({"ours": Side(ours), "Pillow": Side(pillow)}, turns=bench.turns)
            with Image.open(BytesIO(png.encode(pixels, 6))) as back:
                same = np.array_equal(np.asarray(back), picture)
            yield Row(
                what=f"PNG, {side}×{side}, {name}",
                peer="Pillow, level 6",
                ours_costs=costs["ours"],
                peer_costs=costs["Pillow"],
                pictures=PICTURES,
                goal=4,
                facts={"% larger": 100 * (sizes["ours"] / sizes["Pillow"] - 1), "same pixels": same},
            )


def _smooth(side: int) -> "np.typing.NDArray[np.uint8]":
    """A smooth picture with little grain: compresses to about a third."""
    return _waves(side, 1)


def _noisy(side: int) -> "np.typing.NDArray[np.uint8]":
    """The same with the grain of a dark photograph: compresses to about four fifths."""
    return _waves(side, 20)


def _waves(side: int, grain: float) -> "np.typing.NDArray[np.uint8]":
    rows, columns = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(3 * rows + k) * np.cos(4 * columns - k) for k in range(3)]
    noise = np.random.default_rng(0).normal(0, grain, (side, side, 3))
    return np.clip(127 + 120 * np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)

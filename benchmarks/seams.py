"""How visible the seams of outcrops and erased holes are: the step across the rim beside the picture's gradient.

python -m benchmarks.seams [--cases N]

Twenty cases: five pictures that the built-in model draws, each extended at one side and erased in its middle, at two
strengths. A picture's gradient is the median over its columns and rows of the mean difference to the next one; the step
is the mean difference of the neighbours on both sides of the rim.

In brackets, the same beside the median of all single pixels, which is lower, since most of a picture is flat. Outlines
that cross a rim count as steps, so the same rim in the picture before anything was erased stands beside it.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.events import Finished
from invoke.images import as_array
from invoke.language.parse import parse
from invoke.language.resolve import resolve
from invoke.language.resolve.line_context import LineContext
from invoke.models import DEFAULT_MODEL, read_registry

SCENES = (
    ("a house on a hill, painting", "left"),
    ("a boat on the sea at sunset, photograph", "right"),
    ("trees by a river, watercolour", "top"),
    ("a castle at night, oil painting", "bottom"),
    ("mountains, photograph", "left"),
)
STRENGTHS = (0.9, 1.0)
SIZE, ADDED = 192, 64
SETTINGS = "-s 20 -C 5 -A ddim"

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def step_across(picture: Pixels, new: Mask, *, by_pixel: bool = False) -> float:
    """The step across the rim of `new`, in times the picture's own gradient: of columns and rows, or of pixels."""
    levels = picture.astype(float)
    right, down = np.abs(np.diff(levels, axis=1)).mean(2), np.abs(np.diff(levels, axis=0)).mean(2)
    rows_and_columns, pixels = [right.mean(0), down.mean(1)], [right.ravel(), down.ravel()]
    own = np.median(np.concatenate(pixels if by_pixel else rows_and_columns))
    step = np.concatenate([right[new[:, 1:] != new[:, :-1]], down[new[1:] != new[:-1]]])
    return float(step.mean() / own)


def cases(draw: "Draw", folder: Path) -> Iterator[tuple[str, Pixels, Mask, Pixels | None]]:
    """What was done, the result, where it is new, and what was there before."""
    for number, (scene, side) in enumerate(SCENES):
        base = draw(f"{scene} -S {number + 1} -W {SIZE} -H {SIZE} {SETTINGS}")
        path, holed, hole = folder / f"{number}.png", folder / f"holed{number}.png", _hole(number)
        Image.fromarray(base).save(path)
        erased = np.where(hole[..., None], 255 * (number % 2), base)
        Image.fromarray(np.dstack([erased, np.where(hole, 0, 255)]).astype(np.uint8)).save(holed)
        for strength in STRENGTHS:
            line = f"{scene} -S {number + 11} {SETTINGS} -f {strength}"
            yield (
                f"{scene}: outcrop {side}, -f {strength}",
                draw(f"{line} -I {path} -c {side} {ADDED}"),
                _added(side),
                None,
            )
            yield f"{scene}: erased hole, -f {strength}", draw(f"{line} -I {holed}"), hole, base


class Draw:
    """A line becomes its picture."""

    def __init__(self) -> None:
        self._models = read_registry()
        self._engine = DiffusionEngine(self._models)

    def __call__(self, line: str) -> Pixels:
        context = LineContext(models=self._models, model=DEFAULT_MODEL, draw_seed=lambda: 0)
        request = resolve(parse(line), context).picture(0).request
        finished = next(event for event in self._engine.generate(request) if isinstance(event, Finished))
        return as_array(finished.image)


def _hole(number: int) -> Mask:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    if number % 2:
        return (columns > 50) & (columns < 125) & (rows > 60) & (rows < 130)
    return np.hypot(columns - 96, rows - 100) < 36


def _added(side: str) -> Mask:
    along = np.arange(SIZE + ADDED)
    new = along < ADDED if side in {"left", "top"} else along >= SIZE
    return np.tile(new, (SIZE, 1)) if side in {"left", "right"} else np.tile(new[:, None], (1, SIZE))


def _ratios(picture: Pixels, new: Mask) -> str:
    return f"{step_across(picture, new):5.2f} ({step_across(picture, new, by_pixel=True):.2f})"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cases", type=int, default=4 * len(SCENES))
    count = arguments.parse_args().cases
    steps = []
    with TemporaryDirectory() as folder:
        for name, picture, new, before in islice(cases(Draw(), Path(folder)), count):
            steps.append(step_across(picture, new))
            untouched = "" if before is None else f", untouched {_ratios(before, new)}"
            print(f"{_ratios(picture, new)}  {name}{untouched}", flush=True)
    print(f"{max(steps):5.2f}  the worst of {len(steps)}; above 2 a seam can be seen")


if __name__ == "__main__":
    main()

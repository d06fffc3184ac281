"""How large a picture is on a terminal, and its pixels at that size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.events import Pixels
from invoke.pictures import as_image

if TYPE_CHECKING:
    from PIL import Image

CELL = 12
"""Pixels across a cell: more than this are not sent."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the screen, in cells. A cell is taken to be twice as high as it is wide."""

    columns: int
    rows: int


def fitted(pixels: Pixels, largest: Box) -> Box:
    """The largest box in the shape of `pixels` that `largest` holds; at least one cell."""
    scale = min(largest.columns / pixels.width, 2 * largest.rows / pixels.height)
    return Box(max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale / 2)))


def scaled(pixels: Pixels, width: int, height: int) -> Image.Image:
    """The picture at `width` × `height`."""
    from PIL import Image

    return as_image(pixels).resize((width, height), Image.Resampling.BICUBIC)


def as_png(pixels: Pixels, box: Box) -> bytes:
    """A PNG file with as much of the picture as a terminal shows in `box`."""
    from io import BytesIO

    file = BytesIO()
    width, height = min(pixels.width, CELL * box.columns), min(pixels.height, 2 * CELL * box.rows)
    scaled(pixels, width, height).save(file, "PNG")
    return file.getvalue()


def room(box: Box) -> str:
    """Have `box.rows` lines below the cursor's, and be in the first of them."""
    return "\n" * box.rows + f"\x1b[{box.rows}A"

"""Draw the pictures of test-pictures/, the same at every run.

python -m training.test_pictures [FOLDER]
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.canvas import Point
from training.scenes import Scene, draw

PHOTO = Scene("house", "field", "day", "photograph", seed=11, colour="red")
PHOTO_SIZE = {"width": 512, "height": 384}


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    fire_drawing().save(folder / "fire-drawing.png")
    tree_and_river_sketch().save(folder / "tree-and-river-sketch.png")
    draw(Scene("lighthouse", "sea", "clouds", "pencil", seed=5), width=1536, height=1152).save(
        folder / "big-sketch.png"
    )
    photo, hole = draw(PHOTO, **PHOTO_SIZE), hole_of(**PHOTO_SIZE)
    kept = photo.copy()
    kept.putalpha(hole)
    kept.save(folder / "photo-with-hole.png")
    erased = Image.composite(photo, Image.new("RGB", photo.size), hole)
    erased.putalpha(hole)
    erased.save(folder / "photo-with-erased-hole.png")
    hole.save(folder / "mask.png")
    _save_rotated(
        draw(Scene("boat", "sea", "sunset", "photograph", seed=21, colour="white"), width=384, height=512),
        folder / "rotated.jpg",
    )


def fire_drawing() -> Image.Image:
    """A child's fire in three crayons on light paper, 384 x 384."""
    size = 384
    rng = Random(7)
    paper = Image.new("RGB", (size, size), (250, 246, 236))
    _scribble(paper, [(70, 316), (120, 296), (300, 338), (286, 362)], (122, 78, 48), rng, slant=0.35)
    _scribble(paper, [(84, 352), (268, 296), (318, 314), (98, 370)], (104, 64, 40), rng, slant=-0.3)
    flame = [
        (192, 40),
        (216, 108),
        (246, 150),
        (266, 118),
        (292, 200),
        (288, 270),
        (250, 318),
        (192, 330),
        (132, 318),
        (96, 268),
        (94, 196),
        (118, 122),
        (138, 160),
        (166, 112),
    ]
    for share, colour in ((1.0, (222, 66, 30)), (0.68, (244, 140, 34)), (0.38, (252, 212, 70))):
        inner = [(192 + (x - 192) * share, 326 + (y - 326) * share) for x, y in flame]
        _scribble(paper, inner, colour, rng, slant=1.9)
        _crayon_line(paper, inner, colour, rng)
    return paper.filter(ImageFilter.GaussianBlur(0.6))


def tree_and_river_sketch() -> Image.Image:
    """A tree beside a river in pencil, 512 x 384."""
    return draw(Scene("tree", "hill", "clouds", "pencil", seed=3, river=True), width=512, height=384)


def hole_of(*, width: int, height: int) -> Image.Image:
    """White where the picture stays, black over the house in its middle: 31 % of all."""
    hole = Image.new("L", (width, height), 255)
    ImageDraw.Draw(hole).rectangle(
        (round(width * 0.28), round(height * 0.16), round(width * 0.72), round(height * 0.865)), fill=0
    )
    return hole


def _scribble(
    paper: Image.Image, outline: list[Point], colour: tuple[int, int, int], rng: Random, *, slant: float
) -> None:
    """Fill an outline with crayon: strokes to and fro, paper showing between them."""
    inside = Image.new("L", paper.size, 0)
    ImageDraw.Draw(inside).polygon(outline, fill=255)
    strokes = Image.new("L", paper.size, 0)
    pen = ImageDraw.Draw(strokes)
    along, across = (math.cos(slant), math.sin(slant)), (-math.sin(slant), math.cos(slant))
    for i in range(-70, 71):
        offset = i * 6 + rng.uniform(-1.6, 1.6)
        x, y, bend = 192 + across[0] * offset, 192 + across[1] * offset, rng.uniform(-0.03, 0.03)
        pen.line(
            [
                (x - along[0] * 400 - bend * 400, y - along[1] * 400),
                (x + along[0] * 400 + bend * 400, y + along[1] * 400),
            ],
            fill=235,
            width=6,
        )
    grain = (
        np.random.default_rng(rng.randrange(2**32))
        .normal(1.0, 0.12, (paper.height // 3, paper.width // 3))
        .clip(0.6, 1)
    )
    wax = (
        np.asarray(
            Image.fromarray((grain * 255).astype(np.uint8)).resize(paper.size, Image.Resampling.BILINEAR),
            dtype=np.float32,
        )
        / 255
    )
    cover = (
        np.asarray(inside, dtype=np.float32) / 255 * (0.45 + 0.55 * np.asarray(strokes, dtype=np.float32) / 255) * wax
    )
    paper.paste(
        Image.new("RGB", paper.size, colour),
        (0, 0),
        Image.fromarray((cover * 255).clip(0, 255).astype(np.uint8)),
    )


def _crayon_line(paper: Image.Image, outline: list[Point], colour: tuple[int, int, int], rng: Random) -> None:
    pen = ImageDraw.Draw(paper)
    darker = (int(colour[0] * 0.86), int(colour[1] * 0.86), int(colour[2] * 0.86))
    points = [(x + rng.uniform(-2, 2), y + rng.uniform(-2, 2)) for x, y in [*outline, outline[0]]]
    pen.line(points, fill=darker, width=5, joint="curve")


def _save_rotated(upright: Image.Image, path: Path) -> None:
    """Store the picture sideways, with EXIF orientation 6."""
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(path, quality=92, exif=exif)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("test-pictures"))

"""Fit, crop and tile: arithmetic on sizes and boxes, without pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image


CROPPED = 16
"""A picture that exceeds its target by less than this many pixels in both directions is cropped, not scaled."""
SEEN = 0.25
"""Pixels with a lower opacity after scaling keep their stored colour, even if it is hidden."""


def target_size(  # noqa: PLR0913 - all but the first two by keyword
    width: int, height: int, *, asked_width: int | None, asked_height: int | None, fit: bool, multiple: int
) -> tuple[int, int]:
    """The size of a picture of `width` × `height` with `-W`, `-H` and `--fit`.

    Neither given: its own, each side rounded down to `multiple`. Both: exactly those. One: the other follows from the
    proportions. `fit`: shrunk to fit, never enlarged. No side is below `multiple`.
    """
    if fit or (asked_width is None and asked_height is None):
        scale = Fraction(1)
        if asked_width is not None:
            scale = min(scale, Fraction(max(asked_width, multiple), width))
        if asked_height is not None:
            scale = min(scale, Fraction(max(asked_height, multiple), height))
        return _floored(width * scale, multiple), _floored(height * scale, multiple)
    if asked_height is None:
        assert asked_width is not None
        return asked_width, _rounded(Fraction(asked_width * height, width), multiple)
    if asked_width is None:
        return _rounded(Fraction(asked_height * width, height), multiple), asked_height
    return asked_width, asked_height


def first_pass_size(width: int, height: int, *, own: int, multiple: int) -> tuple[int, int]:
    """The size of the first pass of `--hires_fix`: the proportions of `width` × `height`, with at most `own` pixels."""
    scale = math.sqrt(own / (width * height))
    if scale >= 1:
        return width, height
    return _floored(Fraction(width * scale), multiple), _floored(Fraction(height * scale), multiple)


def prepare(image: Image.Image, width: int, height: int, alpha: Image.Image | None = None) -> Image.Image:
    """Bring `image` (RGB or L) to exactly `width` × `height`: centred crop, scaled only if needed.

    It depends only on the sizes, so that a picture and its mask stay aligned. Colours under transparent pixels are
    kept; with `alpha` (mode L, the size of `image`, which is RGB), they do not bleed into visible pixels.
    """
    prepared = _brought(image, width, height)
    if alpha is None or not _is_scaled(image, width, height):
        return prepared
    return _with_seen(prepared, image, alpha)


def _brought(image: Image.Image, width: int, height: int) -> Image.Image:
    from PIL import Image

    if not _is_scaled(image, width, height):
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image if image.size == (width, height) else image.crop((left, top, left + width, top + height))
    scale = max(width / image.width, height / image.height)
    shown_width, shown_height = min(width / scale, image.width), min(height / scale, image.height)
    x, y = (image.width - shown_width) / 2, (image.height - shown_height) / 2
    box = (x, y, min(x + shown_width, image.width), min(y + shown_height, image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box)


def _is_scaled(image: Image.Image, width: int, height: int) -> bool:
    return not (0 <= image.width - width < CROPPED and 0 <= image.height - height < CROPPED)


def averaged(
    bands: Iterable[tuple[Image.Image, Image.Image | None]], width: int, height: int, *, factor: int
) -> Image.Image:
    """Downscale a picture of `width` × `height`, given in bands of rows (RGB, alpha), by `factor` in both directions.

    Each result is the mean of a square of pixels, weighted by opacity; unweighted if all are transparent.
    """
    import numpy as np
    from PIL import Image

    columns, rows = -(-width // factor), -(-height // factor)
    reduced, top = Image.new("RGBA", (columns, rows)), 0
    done, rest, has_alpha = 0, np.zeros((0, width, 4), np.uint8), False
    for image, alpha in bands:
        has_alpha = has_alpha or alpha is not None
        opacity = np.asarray(alpha) if alpha is not None else np.full(image.size[::-1], 255, np.uint8)
        rest = np.concatenate([rest, np.dstack([np.asarray(image), opacity])])
        done += image.height
        whole = len(rest) if done == height else len(rest) // factor * factor
        ready, rest = rest[:whole], rest[whole:]
        if len(ready):
            edges = ((0, -len(ready) % factor), (0, columns * factor - width), (0, 0))
            squares = np.pad(ready, edges, mode="edge").reshape(-1, factor, columns, factor, 4).astype(np.float32)
            weight = squares[..., 3:]
            total = weight.sum((1, 3))
            seen = (squares[..., :3] * weight).sum((1, 3)) / np.maximum(total, 1)
            colours = np.where(total > 0, seen, squares[..., :3].mean((1, 3)))
            made = np.rint(np.dstack([colours, total / factor**2])).astype(np.uint8)
            reduced.paste(Image.fromarray(made), (0, top))
            top += len(made)
    return reduced if has_alpha else reduced.convert("RGB")


def _with_seen(prepared: Image.Image, image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Correct visible pixels next to hidden ones in `prepared`, so that they use only visible colours.

    Plain scaling takes up to a tenth of an opaque pixel's colour from hidden neighbours. Pixels without hidden
    neighbours, or with an opacity below `SEEN`, are unchanged.
    """
    import numpy as np
    from PIL import Image

    def scaled(field: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(_brought(Image.fromarray(field), *prepared.size))

    opacity = np.asarray(alpha)
    weight = opacity.astype(np.float32) / np.float32(255)
    seen = scaled(weight)
    # filter weights of both signs could cancel, but not if each hidden pixel has a different number
    own = np.random.default_rng(0).random(opacity.shape, np.float32) + np.float32(0.5)
    rim = (np.abs(scaled(own * (opacity < 255))) > 1e-6) & (seen >= SEEN)
    colours = np.array(prepared)
    if rim.any():
        for band, channel in enumerate(image.split()):
            mean = scaled(np.asarray(channel, np.float32) * weight)[rim] / seen[rim]
            colours[..., band][rim] = np.clip(np.rint(mean), 0, 255)
    return Image.fromarray(colours)


def _floored(side: Fraction, multiple: int) -> int:
    return max(multiple, math.floor(side / multiple) * multiple)


def _rounded(side: Fraction, multiple: int) -> int:
    return max(multiple, math.floor(side / multiple + Fraction(1, 2)) * multiple)


Tile = tuple[slice, slice]
"""Rows and columns."""


def tiles(height: int, width: int, *, side: int, overlap: int) -> tuple[Tile, ...]:
    """Tiles of at most `side` × `side` that cover `height` × `width`; neighbours overlap by at least `overlap`.

    All have the same size and are listed row by row. If one tile is enough, there is only one.
    """
    across = tuple(_spans(width, side, overlap))
    return tuple((rows, columns) for rows in _spans(height, side, overlap) for columns in across)


def overlap_of(asked: float, side: int) -> int:
    """The overlap in pixels: `asked` is a fraction of `side` if below 1, else pixels; at most half a tile."""
    return min(side // 2, round(asked * side) if asked < 1 else round(asked))


def _spans(length: int, side: int, overlap: int) -> Iterator[slice]:
    count = 1 if length <= side else ceil((length - side) / (side - overlap)) + 1
    starts = (round(index * (length - side) / max(count - 1, 1)) if count > 1 else 0 for index in range(count))
    return (slice(start, start + min(side, length)) for start in starts)

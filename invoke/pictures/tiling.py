"""Where the tiles lie that cover a picture or a plane of latents."""

from collections.abc import Iterator
from math import ceil

Tile = tuple[slice, slice]
"""Rows and columns of a plane."""


def tiles(height: int, width: int, *, side: int, overlap: int) -> tuple[Tile, ...]:
    """Tiles of at most `side` × `side` that cover `height` × `width`, neighbours sharing at least `overlap`.

    All have the same size. A plane that fits into one tile is one tile. They are listed row by row.
    """
    across = tuple(_spans(width, side, overlap))
    return tuple((rows, columns) for rows in _spans(height, side, overlap) for columns in across)


def overlap_of(asked: float, side: int) -> int:
    """Pixels that neighbours share: below 1 `asked` is a share of the `side`, else pixels; at most half a tile."""
    return min(side // 2, round(asked * side) if asked < 1 else round(asked))


def _spans(length: int, side: int, overlap: int) -> Iterator[slice]:
    count = 1 if length <= side else ceil((length - side) / (side - overlap)) + 1
    starts = (round(index * (length - side) / max(count - 1, 1)) if count > 1 else 0 for index in range(count))
    return (slice(start, start + min(side, length)) for start in starts)

"""Detects erased holes: areas with one flat colour under them, as paint programs leave it."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from invoke.images import FLAT

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

DEPTHS = (8, 2, 0)
"""A hole is judged by its pixels that are deeper than the first of these that leaves enough: lossy formats mix colours
over the rim, WebP in blocks of 8 pixels, and so does scaling."""
FEWEST = 16
"""Pixels that are enough."""
ODD = 0.05
"""Share of those pixels that may have any colour."""


def erased(colours: Pixels, hole: Mask) -> Mask:
    """The areas of `hole` (height × width) that each have one colour, within `FLAT`, in `colours` (… × 3)."""
    labels = connected(hole)
    count = int(labels.max()) + 1
    judged, flat = np.zeros(count, bool), np.zeros(count, bool)
    for depth in DEPTHS:
        inner = _eroded(hole, depth) & ~judged[labels]
        for label, area in _by_label(labels[inner], colours[inner]):
            if depth and len(area) < FEWEST:
                continue
            distance = np.abs(area - np.median(area, axis=0)).max(-1)
            judged[label], flat[label] = True, (distance > FLAT).mean() <= ODD
    return flat[labels] & hole


def _by_label(labels: npt.NDArray[np.int32], colours: Pixels) -> Iterator[tuple[int, npt.NDArray[np.int16]]]:
    """Each label with its colours."""
    order = np.argsort(labels, kind="stable")
    owners, values = labels[order], colours[order].astype(np.int16)
    for area in np.split(np.arange(len(owners)), np.flatnonzero(np.diff(owners)) + 1):
        if len(area):
            yield int(owners[area[0]]), values[area]


def connected(mask: Mask) -> npt.NDArray[np.int32]:
    """Numbers of the areas of `mask` whose pixels touch, diagonally too, from 1; 0 elsewhere.

    Minimum labels by hooking and pointer jumping (Shiloach and Vishkin 1982).
    """
    height, width = mask.shape
    index = np.arange(height * width).reshape(height, width)
    pairs = []
    for first, second in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):
        both = mask[first] & mask[second]
        pairs.append(np.stack([index[first][both], index[second][both]]))
    one, other = np.concatenate(pairs, axis=1)
    root = index.ravel().copy()
    while True:
        low, high = np.minimum(root[one], root[other]), np.maximum(root[one], root[other])
        differ = low != high
        if not differ.any():
            break
        one, other = one[differ], other[differ]
        np.minimum.at(root, high[differ], low[differ])
        while (jumped := root[root]).tobytes() != root.tobytes():
            root = jumped
    labels = np.zeros(height * width, np.int32)
    flat = mask.ravel()
    labels[flat] = np.unique(root[flat], return_inverse=True)[1] + 1
    return labels.reshape(height, width)


def _eroded(mask: Mask, pixels: int) -> Mask:
    """`mask` without what is nearer than `pixels` to its rim; the picture's edge is no rim."""
    for _ in range(pixels):
        padded = np.pad(mask, 1, constant_values=True)
        rows = padded[:-2] & padded[1:-1] & padded[2:]
        mask = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    return mask

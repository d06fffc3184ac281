"""Detects erased holes: transparent areas whose hidden colour is flat, as paint programs leave them."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from invoke.images import FLAT

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

DEPTHS = (8, 2, 0)
"""Erosion depths, in pixels, tried in this order until enough pixels of a hole remain. The rim is left out because
lossy formats (WebP in blocks of 8 pixels) and scaling mix colours across it."""
FEWEST = 16
"""How many remaining pixels are enough."""
ODD = 0.05
"""Fraction of those pixels that may deviate from the flat colour."""


def erased(colours: Pixels, hole: Mask) -> Mask:
    """The connected areas of `hole` (height × width) with a flat colour, within `FLAT`, in `colours` (… × 3)."""
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
    """Yield each label with its colours."""
    order = np.argsort(labels, kind="stable")
    owners, values = labels[order], colours[order].astype(np.int16)
    for area in np.split(np.arange(len(owners)), np.flatnonzero(np.diff(owners)) + 1):
        if len(area):
            yield int(owners[area[0]]), values[area]


def connected(mask: Mask) -> npt.NDArray[np.int32]:
    """Label the 8-connected areas of `mask` from 1; 0 elsewhere.

    Finds minimum labels by hooking and pointer jumping (Shiloach and Vishkin 1982).
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
    """Erode `mask` by `pixels`; the picture's edge does not count as a rim."""
    for _ in range(pixels):
        padded = np.pad(mask, 1, constant_values=True)
        rows = padded[:-2] & padded[1:-1] & padded[2:]
        mask = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    return mask

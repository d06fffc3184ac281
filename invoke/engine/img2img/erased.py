"""Which holes of a picture were erased: one flat colour lies under them, as paint programs leave it."""

import numpy as np
import numpy.typing as npt

from invoke.images import FLAT

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

INNER = 2
"""Pixels from a hole's rim that are not judged, if it is wide enough: scaling and lossy formats mix colours there."""
ODD = 0.02
"""Share of a hole's pixels that may have any colour."""


def erased(colours: Pixels, hole: Mask) -> Mask:
    """The areas of `hole` (height × width) that each have one colour, within `FLAT`, in `colours` (… × 3)."""
    made = np.zeros_like(hole)
    labels = connected(hole)
    if labels.max() == 0:
        return made
    inner = _eroded(hole, INNER)
    thin = np.ones(labels.max() + 1, bool)
    thin[np.unique(labels[inner])] = False
    shown = (inner | thin[labels]) & hole
    order = np.argsort(labels[shown], kind="stable")
    owners, values = labels[shown][order], colours[shown][order].astype(np.int16)
    flat = np.zeros(labels.max() + 1, bool)
    for chosen in np.split(np.arange(len(owners)), np.flatnonzero(np.diff(owners)) + 1):
        own = values[chosen]
        apart = np.abs(own - np.median(own, axis=0)).max(-1)
        flat[owners[chosen[0]]] = (apart > FLAT).mean() <= ODD
    flat[0] = False
    return flat[labels]


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

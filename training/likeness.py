"""Metrics without the judge: agreement of edges, colours, decibels, sharpness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

TOLERANCE = 2
"""Tolerance for the position of an edge, in pixels."""


def agreement(found: NDArray[np.bool_], asked: NDArray[np.bool_]) -> float:
    """F1: the harmonic mean of precision and recall of the edges."""
    precision = float(_widened(asked)[found].mean()) if found.any() else 0.0
    recall = float(_widened(found)[asked].mean()) if asked.any() else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def mean_colours(pictures: Sequence[Image.Image]) -> NDArray[np.float64]:
    """The mean colour of each, 0..1."""
    return np.stack([np.asarray(picture, dtype=np.float64).mean(axis=(0, 1)) / 255 for picture in pictures])


def paper_and_lines(picture: Image.Image) -> tuple[float, float]:
    """The fractions of a blueprint's pixels with the blue of its paper and the white of its lines."""
    red, green, blue = (np.asarray(picture, dtype=np.float64) / 255).transpose(2, 0, 1)
    paler = np.maximum(red, green)
    return float((blue - paler > 0.2).mean()), float((np.minimum(red, green) > 0.45).mean())


def decibels(one: Image.Image, two: Image.Image) -> float:
    first, second = (np.asarray(picture, dtype=np.float64) / 255 for picture in (one, two))
    return float(-10 * np.log10(np.square(first - second).mean()))


def sharpness(picture: Image.Image) -> float:
    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    return float(np.square(np.diff(grey, axis=0)).mean() + np.square(np.diff(grey, axis=1)).mean()) ** 0.5


def _widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    picture = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(2 * TOLERANCE + 1))
    return np.asarray(picture) > 0

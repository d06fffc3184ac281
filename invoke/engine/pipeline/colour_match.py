"""Colour matching: transfers the colour distribution of another picture, in CIE L*a*b*."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
"""Linear sRGB → XYZ (IEC 61966-2-1), D65."""
_WHITE = _TO_XYZ.sum(axis=1)
_EDGE = 6 / 29


def match(picture: Bytes, reference: Bytes) -> Bytes:
    """Give `picture` (height × width × 3, sRGB) the distributions of L*, a* and b* of `reference`.

    Histogram matching, channel by channel: the pixel with quantile q gets the reference's value at quantile q.
    """
    colours, wanted = to_lab(picture), to_lab(reference)
    matched = np.stack([_ranked(colours[..., k], wanted[..., k]) for k in range(3)], axis=-1)
    return from_lab(matched)


def to_lab(picture: Bytes) -> Floats:
    """8-bit sRGB → CIE L*a*b* (CIE 15, eq. 8.3 ff.)."""
    rgb = picture / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_XYZ.T / _WHITE
    f = np.where(ratio > _EDGE**3, np.cbrt(ratio), ratio / (3 * _EDGE**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def from_lab(lab: Floats) -> Bytes:
    """CIE L*a*b* → 8-bit sRGB; colours out of gamut are clipped."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    ratio = np.where(f > _EDGE, f**3, 3 * _EDGE**2 * (f - 4 / 29))
    linear = np.clip(ratio * _WHITE @ np.linalg.inv(_TO_XYZ).T, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(np.clip(rgb, 0, 1) * 255), dtype=np.uint8)


def _ranked(values: Floats, reference: Floats) -> Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    levels, level_counts = np.unique(reference, return_counts=True)
    ranks, level_ranks = np.cumsum(counts) / values.size, np.cumsum(level_counts) / reference.size
    return np.asarray(np.interp(ranks, level_ranks, levels)[places.ravel()].reshape(values.shape))

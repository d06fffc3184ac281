"""Canny edges: white on black, one pixel wide, for `canny` ControlNets.

Canny (1986), A computational approach to edge detection. The thresholds are the usual ones for OpenCV's function and
have the same meaning. All sums are exact integers, so that results do not depend on rounding.
"""

import numpy as np
from numpy.typing import NDArray

LOW, HIGH = 100, 200
"""Thresholds of the Sobel gradient of 8-bit levels: edges start at HIGH and continue while above LOW."""

_BLUR = (1, 4, 6, 4, 1)
"""A Gaussian of σ = 1 pixel, times 16."""
_DIAGONAL = 1 + 2**0.5
"""The tangent of 67.5°: halfway between upright and diagonal."""

Numbers = NDArray[np.signedinteger]


def canny(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The edges (0 or 255, height × width) of a picture (height × width × 3), using the strongest channel per pixel."""
    across, down = _slopes(picture)
    steep = np.square(across, dtype=np.int64) + np.square(down, dtype=np.int64)
    best = steep.argmax(axis=2)[..., None]
    across, down, steep = (np.take_along_axis(field, best, axis=2)[..., 0] for field in (across, down, steep))
    ridge = _ridges(steep, across, down)
    scale = sum(_BLUR) ** 2
    edges = _followed(ridge & (steep > (LOW * scale) ** 2), ridge & (steep > (HIGH * scale) ** 2))
    return edges.astype(np.uint8) * 255


def _slopes(picture: NDArray[np.uint8]) -> tuple[Numbers, Numbers]:
    """The Sobel gradient of the blurred picture to the right and downward, times the blur's scale."""
    smooth = _convolved(_convolved(picture.astype(np.int32), _BLUR, 0), _BLUR, 1)
    across = _convolved(_convolved(smooth, (-1, 0, 1), 1), (1, 2, 1), 0)
    down = _convolved(_convolved(smooth, (-1, 0, 1), 0), (1, 2, 1), 1)
    return across, down


def _convolved(field: Numbers, weights: tuple[int, ...], axis: int) -> Numbers:
    """Correlate `field` with `weights` along one axis, repeating the values at its rim."""
    reach = len(weights) // 2
    padded = np.pad(field, [(reach * (axis == other), reach * (axis == other)) for other in range(field.ndim)], "edge")
    total = np.zeros_like(field)
    for start, weight in enumerate(weights):
        taken = np.moveaxis(padded, axis, 0)[start : start + field.shape[axis]]
        total += np.int32(weight) * np.moveaxis(taken, 0, axis)
    return total


def _ridges(steep: Numbers, across: Numbers, down: Numbers) -> NDArray[np.bool_]:
    """Non-maximum suppression: where neither neighbour in the direction of the gradient is steeper."""
    along, upright = np.abs(across) > _DIAGONAL * np.abs(down), np.abs(down) > _DIAGONAL * np.abs(across)
    falling = (across > 0) == (down > 0)
    sides = [(along, 0, 1), (upright, 1, 0), (~along & ~upright & falling, 1, 1), (~along & ~upright & ~falling, 1, -1)]
    height, width = steep.shape
    around = np.pad(steep, 1)
    ridge = np.zeros(steep.shape, dtype=bool)
    for where, dy, dx in sides:
        ahead = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        after = around[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        ridge |= where & (steep > ahead) & (steep >= after)
    return ridge


def _followed(weak: NDArray[np.bool_], strong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Hysteresis: strong pixels, and weak ones connected to them."""
    width = weak.shape[1] + 2
    left = np.pad(weak & ~strong, 1).ravel()
    found = np.pad(strong, 1).ravel()
    newest = np.flatnonzero(found)
    around = np.array([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    while len(newest):
        near = np.unique(newest[:, None] + around)
        newest = near[left[near]]
        left[newest], found[newest] = False, True
    return found.reshape(-1, width)[1:-1, 1:-1]

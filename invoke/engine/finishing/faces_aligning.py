"""A face cut out upright, as networks for faces know them, and put back; as facexlib does it without its face parser.

Wang et al., facexlib (github.com/xinntao/facexlib), face_restoration_helper.py. It aligns by five points of a face;
here there are two, the eyes.
"""

from functools import cache
from math import ceil, floor, hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invoke.engine.finishing.faces_finding import Eyes, Picture

SIDE = 512
"""Pixels of a face that is cut out."""
TEMPLATE: Eyes = 192.98138 + 239.94708j, 318.90277 + 240.1936j
"""Where the eyes are in it: the first two points of facexlib's mean of FFHQ's faces, by which GFPGAN, RestoreFormer and
CodeFormer were trained. (The others: nose 256.63416, 314.01935, corners of the mouth 201.26117, 371.41043 and
313.08905, 371.15118.)"""
EDGE = SIDE // 20
"""Pixels at the rim of a cut-out that stay as they were; as many again fade in."""
SOFTNESS = 0.35
"""Pixels of blur before a face is shrunk, for each that goes into one: less glitters, more loses what was drawn."""
OUTSIDE = (132, 133, 135)
"""What is seen beyond the picture: facexlib's grey."""

Matrix = NDArray[np.float64]
"""2 × 3: from pixels of the picture to pixels of the cut-out."""


def alignment(eyes: Eyes) -> Matrix:
    """The turn, scale and shift that take `eyes` to those of the template."""
    turn = (TEMPLATE[1] - TEMPLATE[0]) / (eyes[1] - eyes[0])
    shift = TEMPLATE[0] - turn * eyes[0]
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def cut_out(picture: Picture, matrix: Matrix) -> Picture:
    """SIDE × SIDE × 3."""
    face: Picture = _warped(_smoothed(picture, _scale(matrix)), matrix, (SIDE, SIDE))
    return face


def put_back(picture: Picture, face: Picture, matrix: Matrix, strength: float) -> Picture:
    """`picture` with `face` in its place; `strength` is its share, 0..1. Pixels beyond its rim stay as they are."""
    import cv2

    rows, columns = _place(matrix, *picture.shape[:2])
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ (columns.start, rows.start)
    back = cv2.invertAffineTransform(shifted)
    size = columns.stop - columns.start, rows.stop - rows.start
    smooth = _smoothed(face.astype(np.float32), 1 / _scale(matrix))
    share = strength * cv2.warpAffine(_mask(), back, size)[..., None]
    before = picture[rows, columns].astype(np.float32)
    mixed = before + share * (_warped(smooth, back, size) - before)
    result = picture.copy()
    result[rows, columns] = mixed.round().clip(0, 255).astype(np.uint8)
    return result


@cache
def _mask() -> NDArray[np.float32]:
    """How much of each pixel of a cut-out goes back."""
    import cv2

    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[EDGE:-EDGE, EDGE:-EDGE] = 1
    return cv2.GaussianBlur(mask, (2 * EDGE + 1, 2 * EDGE + 1), 0)  # type: ignore[return-value]


def _place(matrix: Matrix, height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of the picture in which the cut-out lies."""
    import cv2

    corners = np.array([[0, 0, 1], [SIDE, 0, 1], [0, SIDE, 1], [SIDE, SIDE, 1]]) @ cv2.invertAffineTransform(matrix).T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return (
        slice(max(0, floor(top)), min(height, ceil(bottom) + 1)),
        slice(max(0, floor(left)), min(width, ceil(right) + 1)),
    )


def _scale(matrix: Matrix) -> float:
    """Pixels of the cut-out for one of the picture."""
    return hypot(matrix[0, 0], matrix[1, 0])


def _warped(pixels: Any, matrix: Any, size: tuple[int, int]) -> Any:
    import cv2

    return cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_CUBIC, borderValue=OUTSIDE)


def _smoothed(pixels: Any, scale: float) -> Any:
    """`pixels`, as soft as they must be to be shrunk by `scale` point by point; as they are for 1 and more."""
    import cv2

    return pixels if scale >= 1 else cv2.GaussianBlur(pixels, (0, 0), SOFTNESS * sqrt(1 / scale**2 - 1))

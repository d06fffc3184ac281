"""Finds faces with OpenCV's Haar cascades (Viola and Jones 2001), which are included in its wheel.

It finds frontal faces that are tilted by at most 20 degrees, but no profiles.
"""

from cmath import phase, pi
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invoke.errors import ModelError

Picture = NDArray[np.uint8]
"""Height × width × 3."""
Eyes = tuple[complex, complex]
"""The centres of both eyes as x + i·y in pixels, the viewer's left one first."""

LARGEST = 1024
"""Longer side of the searched picture, in pixels; larger pictures are shrunk to it."""
SMALLEST = 32
"""Smallest side of a face in the searched picture, in pixels."""
AGREEING = 5
"""OpenCV's `minNeighbors`: how many overlapping detections make a face. Lower finds more faces, and more false ones."""

_FACE, _EYE = "frontalface_alt2", "eye_tree_eyeglasses"
"""Names of the cascades."""
_SIDE = 256
"""Side to which a face is scaled to search for its eyes, in pixels."""
_LEFT, _TOP, _WIDTH, _HEIGHT = 0.12, 0.17, 0.37, 0.36
"""Window for the viewer's left eye, as fractions of the face's square; mirrored for the right one. From Baggio et al.,
Mastering OpenCV with Practical Computer Vision Projects (2012), chapter 8."""
_USUAL: Eyes = 0.31 + 0.40j, 0.69 + 0.40j
"""Default eye positions in a face's square: the middle of that chapter's narrower windows."""
_NEAREST, _FARTHEST, _MOST_LEANING = 0.25, 0.55, 25 * pi / 180
"""Limits for a pair of eyes: distance as a fraction of the square's side, slope in radians."""


def check_detector(name: str) -> None:
    """Raise ModelError if the face detectors, which the model `name` needs, are not installed."""
    if find_spec("cv2") is not None and find_spec("cv2.data") is not None and _file(_FACE).is_file():
        return
    raise ModelError(
        f"{name}: finding faces needs OpenCV 4 (version 5 lacks the detectors)",
        code="not_installed",
        hint="pip install 'invoke-shell[faces]'",
    )


def find_eyes(picture: Picture) -> tuple[Eyes, ...]:
    """The eyes of each face in `picture`, the largest face first."""
    import cv2

    grey: Any = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, LARGEST / max(grey.shape))
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    squares = _cascade(_FACE).detectMultiScale(grey, 1.1, AGREEING, minSize=(SMALLEST, SMALLEST))
    ordered = sorted((tuple(map(int, square)) for square in squares), key=lambda square: (-square[2], square))
    return tuple(_scaled(_eyes(grey, x, y, side), 1 / scale) for x, y, side, _ in ordered)


def _eyes(grey: Any, x: int, y: int, side: int) -> Eyes:
    """Find the eyes in the square of a face; returns the default positions if they are not found."""
    import cv2

    face = cv2.resize(grey[y : y + side, x : x + side], (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    left, right = _eye(face, _LEFT), _eye(face, 1 - _LEFT - _WIDTH)
    found = _USUAL if left is None or right is None or not _is_pair(left, right) else (left, right)
    return complex(x, y) + side * found[0], complex(x, y) + side * found[1]


def _eye(face: Any, left: float) -> complex | None:
    """Find one eye in the window that begins at `left`, as a fraction of the square."""
    import cv2

    column, row = round(left * _SIDE), round(_TOP * _SIDE)
    window = face[row : row + round(_HEIGHT * _SIDE), column : column + round(_WIDTH * _SIDE)]
    found = _cascade(_EYE).detectMultiScale(window, 1.1, 3, flags=cv2.CASCADE_FIND_BIGGEST_OBJECT)
    if not len(found):
        return None
    x, y, width, height = map(int, found[0])
    return complex(column + x + width / 2, row + y + height / 2) / _SIDE


def _is_pair(left: complex, right: complex) -> bool:
    across = right - left
    return _NEAREST <= abs(across) <= _FARTHEST and abs(phase(across)) <= _MOST_LEANING


def _scaled(eyes: Eyes, factor: float) -> Eyes:
    return eyes[0] * factor, eyes[1] * factor


@cache
def _cascade(name: str) -> Any:
    import cv2

    return cv2.CascadeClassifier(str(_file(name)))


def _file(name: str) -> Path:
    from cv2.data import haarcascades

    return Path(haarcascades, f"haarcascade_{name}.xml")

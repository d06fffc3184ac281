"""DETECTORS: the detectors of `--control NAME auto:DETECTOR`. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detector:
    """Computes a kind of control image from the init picture."""

    summary: str
    """What it finds, for help and errors."""
    find: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None
    """A picture (height × width × 3, 8-bit) → the control image (height × width, 8-bit); None: it needs a model of kind
    `detector`."""


def _canny(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from invoke.images.canny import canny

    return canny(picture)


DETECTORS: Mapping[str, Detector] = {
    "canny": Detector("the edges of the init picture", _canny),
    "depth": Detector("the depth of the init picture, near is bright", None),
}

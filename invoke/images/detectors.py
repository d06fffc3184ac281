"""DETECTORS: what `--control NAME auto:DETECTOR` finds in the init picture. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of control image that is computed rather than given."""

    summary: str
    """For help and errors: what it finds."""
    find: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None
    """A picture (height × width × 3, 8-bit) → the control image (height × width, 8-bit); None: a model of kind
    `detector` finds it."""


def _canny(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from invoke.images.canny import canny

    return canny(picture)


DETECTORS: Mapping[str, Detector] = {
    "canny": Detector("the edges of the init picture", _canny),
    "depth": Detector("the depth of the init picture, near is bright", None),
}

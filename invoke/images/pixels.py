"""Converts Pixels for other libraries."""

from typing import TYPE_CHECKING

from invoke.events import Pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


def as_image(pixels: Pixels) -> "Image.Image":
    """As a Pillow image, mode RGB."""
    from PIL import Image

    return Image.frombytes("RGB", (pixels.width, pixels.height), pixels.data)


def with_alpha(pixels: Pixels) -> "Image.Image":
    """As a Pillow image, mode RGBA if it has an alpha channel."""
    from PIL import Image

    image = as_image(pixels)
    if pixels.alpha is not None:
        image.putalpha(Image.frombytes("L", image.size, pixels.alpha))
    return image


def as_array(pixels: Pixels) -> "NDArray[np.uint8]":
    """As a numpy array, height × width × 3, a writable copy."""
    import numpy as np

    return np.frombuffer(pixels.data, np.uint8).reshape(pixels.height, pixels.width, 3).copy()

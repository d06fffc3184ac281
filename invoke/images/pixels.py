"""Pixels as other libraries want them."""

from typing import TYPE_CHECKING

from invoke.events import Pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


def as_image(pixels: Pixels) -> "Image.Image":
    """For Pillow, mode RGB."""
    from PIL import Image

    return Image.frombytes("RGB", (pixels.width, pixels.height), pixels.data)


def with_alpha(pixels: Pixels) -> "Image.Image":
    """The same, in mode RGBA where it is transparent in places."""
    from PIL import Image

    image = as_image(pixels)
    if pixels.alpha is not None:
        image.putalpha(Image.frombytes("L", image.size, pixels.alpha))
    return image


def as_array(pixels: Pixels) -> "NDArray[np.uint8]":
    """For numpy and torch: height × width × 3, a copy that may be written to."""
    import numpy as np

    return np.frombuffer(pixels.data, np.uint8).reshape(pixels.height, pixels.width, 3).copy()

"""A step's small picture at the size of the result."""

from __future__ import annotations

from invoke.events import Pixels
from invoke.pictures import as_image


def enlarged(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """`pixels` at `size` (width, height), whatever size and shape they have.

    Smoothly up to half the size; the last doubling repeats pixels, so that a PNG takes a third of the time.
    """
    if (pixels.width, pixels.height) == size:
        return pixels
    from PIL import Image

    image = as_image(pixels)
    half = (size[0] + 1) // 2, (size[1] + 1) // 2
    if image.width <= half[0] and image.height <= half[1]:
        image = image.resize(half, Image.Resampling.BILINEAR).resize(size, Image.Resampling.NEAREST)
    else:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return Pixels(*size, image.tobytes())

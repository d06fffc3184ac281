"""Colours that a file means otherwise than sRGB: its embedded ICC profile says how, and they are converted."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from invoke.text import clean

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageCms import ImageCmsTransform

LARGEST_PROFILE = 4 * 2**20
"""Bytes; real ones have at most half of that."""
SAME = 2
"""Levels of 255 by which a profile may move a colour and still be sRGB."""
LONGEST_NAME = 40

_STORED = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""The kind of a profile → the mode of the pixels that it speaks of."""


def to_srgb(stored: Image.Image, image: Image.Image) -> tuple[Image.Image, str]:
    """`image`, which is `stored` in RGB, as sRGB; and what was done, "" if nothing was."""
    data = stored.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        return image, ""

    from PIL import ImageCms

    try:
        if len(data) > LARGEST_PROFILE:
            raise ValueError
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        mode = _STORED.get(profile.profile.xcolor_space, "")
        if not mode or (mode == "CMYK") != (stored.mode == "CMYK"):
            return image, ""  # it speaks of other pixels than these
        # perceptual, 8 bits: what a viewer does
        convert = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        if _is_srgb(convert, mode):
            return image, ""
        name = clean(ImageCms.getProfileDescription(profile).strip())[:LONGEST_NAME] or "its own profile"
        converted = ImageCms.applyTransform(stored if mode == "CMYK" else image.convert(mode), convert)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image, "its colour profile is damaged and not used"
    assert converted is not None
    return converted, f"colours converted from {name} to sRGB"


def _is_srgb(convert: ImageCmsTransform, mode: str) -> bool:
    """Whether `convert` leaves colours of `mode` as Pillow reads them without a profile."""
    from PIL import Image, ImageChops, ImageCms, ImageStat

    levels = range(0, 256, 17)
    if mode == "L":
        some = Image.frombytes("L", (16, 1), bytes(levels))
    else:
        bands = len(mode)
        grid = bytes(
            level for one in levels for two in levels for three in levels for level in (one, two, three, 0)[:bands]
        )
        some = Image.frombytes(mode, (len(grid) // bands, 1), grid)
    made = ImageCms.applyTransform(some, convert)
    assert made is not None
    apart = ImageStat.Stat(ImageChops.difference(made, some.convert("RGB")))
    return max(most for _, most in apart.extrema) <= SAME

"""Modes, ICC profiles and EXIF orientation: what turns a decoded file into upright sRGB."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from invoke.errors import PictureError
from invoke.text import clean

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageCms import ImageCmsTransform


def read_colours(path: str, stored: Image.Image, depth: int) -> tuple[Image.Image, Image.Image | None]:
    """RGB and, if anything can be transparent, alpha; `depth` is bits per channel. Raises PictureError."""
    if stored.mode.startswith("I;16"):
        return _grey_16(stored)
    if stored.mode in {"I", "F"}:
        kind = "32-bit numbers" if stored.mode == "I" else "floating-point numbers"
        raise PictureError(
            f"{path}: its pixels are {kind}, whose black and white are unknown",
            code="picture_unsupported",
            hint="save it with 8 or 16 bits per channel",
        )
    if not stored.has_transparency_data:
        return stored.convert("RGB"), None
    clear = stored.info.get("transparency")
    if stored.mode in {"1", "L"} and isinstance(clear, int):
        grey = stored.convert("L")
        # a file names it in its own depth; Pillow has adjusted that for one bit alone
        level = clear if stored.mode == "1" else clear * 255 // (2 ** min(depth, 8) - 1)
        return grey.convert("RGB"), _if_seen(grey.point([255 * (each != level) for each in range(256)]))
    if isinstance(clear, tuple) and depth == 16:
        stored.info["transparency"] = tuple(level >> 8 for level in clear)
    both = stored.convert("RGBA")
    return both.convert("RGB"), _if_seen(both.getchannel("A"))


def read_turn(stored: Image.Image) -> Image.Transpose | None:
    """How to set a picture upright, as its EXIF data say (TIFF is upright already)."""
    from PIL import Image

    try:
        orientation = stored.getexif().get(0x0112)
    except Exception:  # EXIF data are no part of the picture: broken ones say nothing
        return None
    turns = Image.Transpose
    return {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(orientation if isinstance(orientation, int) else 1)


def _grey_16(stored: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    # Pillow's own conversion clips at 255 instead of scaling
    import numpy as np
    from PIL import Image

    levels = np.asarray(stored)
    image = Image.fromarray((levels // 257).astype(np.uint8)).convert("RGB")
    clear = stored.info.get("transparency")
    if not isinstance(clear, int):
        return image, None
    return image, _if_seen(Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8)))


def _if_seen(alpha: Image.Image) -> Image.Image | None:
    return None if alpha.getextrema() == (255, 255) else alpha


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

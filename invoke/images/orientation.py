"""EXIF orientation: how a stored picture is set upright. (`header_size` reads it without Pillow, for sizes alone.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION = 0x0112
"""The tag of EXIF and TIFF."""


def read_turn(stored: Image.Image) -> Image.Transpose | None:
    """How to set a picture upright, as its EXIF data say (TIFF is upright already). XMP counts in no browser."""
    from PIL import Image

    try:
        exif = Image.Exif()
        data = stored.info.get("exif")
        if data is None and "Raw profile type exif" in stored.info:
            data = bytes.fromhex("".join(stored.info["Raw profile type exif"].split("\n")[3:]))
        if not isinstance(data, bytes):
            return None
        exif.load(data)
        orientation = exif.get(ORIENTATION)
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

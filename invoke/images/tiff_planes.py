"""TIFFs that store each channel separately (planar), as Photoshop's "per channel" does."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from invoke.errors import PictureError

if TYPE_CHECKING:
    from PIL import Image

_PLANAR, _SEPARATE, _BITS = 284, 2, 258
_MODES = {"RGB", "RGBA", "RGBX", "CMYK"}
"""Modes whose separate channels libtiff reads; of others it drops or misplaces some."""


def planes_by_libtiff(path: str, image: Image.Image, file: BinaryIO) -> Image.Image:
    """`image`, opened from `file`, or the same opened again so that libtiff reads its separate channels.

    Pillow's own decoder takes the bytes of 16-bit channels for pixels, and knows no premultiplied ones. The caller
    holds a lock, since the choice of decoder is global. Raises PictureError for channels that neither reads.
    """
    if image.format != "TIFF" or image.tag_v2.get(_PLANAR) != _SEPARATE:  # type: ignore[attr-defined]
        return image
    if image.mode in _MODES:
        if image.mode != "RGBA" and image.tag_v2.get(_BITS, (1,))[0] == 8:  # type: ignore[attr-defined]
            return image
        from PIL import Image, TiffImagePlugin

        file.seek(0)
        TiffImagePlugin.READ_LIBTIFF = True
        try:
            return Image.open(file, formats=("TIFF",))
        finally:
            TiffImagePlugin.READ_LIBTIFF = False
    if len(image.getbands()) == 1:
        return image
    raise PictureError(
        f"{path}: this TIFF stores its channels separately, which is not supported for its kind of colours",
        code="picture_unsupported",
        hint="save it with interleaved channels, or as PNG",
    )

"""From a decoded file to sRGB: modes, colour profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from invoke.errors import PictureError
from invoke.images.avif_boxes import nclx
from invoke.images.colour_codes import ColourCode, from_cicp, from_gamma, icc_profile
from invoke.images.png_chunks import bit_depth, chunk
from invoke.text import clean

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageCms import ImageCmsTransform

LARGEST_PROFILE = 4 * 2**20
"""In bytes; real profiles have at most half of that."""
SAME = 2
"""A profile counts as sRGB if it changes colours by at most this many levels of 255."""
LONGEST_NAME = 40

_SPACES = {"RGB ": "colour", "GRAY": "grey", "CMYK": "CMYK", "Lab ": "L*a*b*"}
"""An ICC profile's colour space → its name in messages."""
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""An ICC profile's colour space → Pillow's mode for the conversion."""
_CLASSES = {"scnr", "mntr", "prtr", "spac"}
"""ICC device classes that describe pixels; links, effects and named colours do not."""
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
"""Tags of a TIFF, and a value of the second."""


@dataclass(frozen=True, slots=True)
class ColourConversion:
    """Converts the pixels of a file, in any mode that Pillow decodes, to sRGB."""

    depth: int = 8
    """Bits per channel."""
    is_inverted: bool = False
    """Whether 0 is white; only for modes that Pillow does not set right by itself."""
    transform: ImageCmsTransform | None = None
    mode: str = ""
    """Pillow's mode of the pixels that `transform` takes."""
    notes: tuple[str, ...] = ()

    def rgb(self, stored: Image.Image) -> Image.Image:
        """Convert `stored`, or some rows of it, to RGB (sRGB). Colours under transparent pixels are kept."""
        from PIL import ImageCms

        if stored.mode.startswith("I;16"):
            stored = self._grey(stored)
        if self.transform is None:
            return _rgb(stored)
        pixels = stored if stored.mode == self.mode else _rgb(stored).convert(self.mode)
        converted = ImageCms.applyTransform(pixels, self.transform)
        assert converted is not None
        return converted

    def alpha(self, stored: Image.Image) -> Image.Image | None:
        """The alpha channel, mode L; None if the file has none."""
        return _alpha(stored, self.depth)

    def _grey(self, stored: Image.Image) -> Image.Image:
        """`stored`, whose pixels have 12 or 16 bits, in mode L. Pillow's own conversion clips them at 255."""
        import numpy as np
        from PIL import Image

        white = 2**self.depth - 1 if 8 < self.depth < 16 else 65535
        levels = np.minimum(np.asarray(stored), white).astype(np.uint32) * 255 // white
        return Image.fromarray((255 - levels if self.is_inverted else levels).astype(np.uint8))


def conversion_of(path: str, stored: Image.Image, file: BinaryIO) -> ColourConversion:
    """The conversion of `stored`, decoded from `file`, to sRGB. Raises PictureError if there is none.

    It uses the description of highest priority that matches the pixels: cICP, iCCP, sRGB, gAMA and cHRM in a PNG (PNG
    3, table 13.1); the profile, then nclx, in an AVIF; the profile in other files.
    """
    if stored.mode in {"I", "F"}:
        kind = "32-bit numbers" if stored.mode == "I" else "floating-point numbers"
        raise PictureError(
            f"{path}: its pixels are {kind}, for which black and white are undefined",
            code="picture_unsupported",
            hint="save it with 8 or 16 bits per channel",
        )
    depth, is_inverted = bit_depth(file) if stored.format == "PNG" else 8, False
    if stored.format == "TIFF" and stored.mode.startswith("I;16"):
        tags = stored.tag_v2  # type: ignore[attr-defined]
        depth, is_inverted = tags.get(_BITS, (16,))[0], tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    notes: list[str] = []
    if stored.mode == "CMYK" and stored.format == "JPEG" and "adobe" not in stored.info:
        notes.append("does not say whether its CMYK is inverted; it is read so, as browsers do")
    for describe in _descriptions(stored, file):
        described = describe()
        if described is None:
            continue
        if isinstance(described, str):
            raise PictureError(
                f"{path}: this is an HDR picture ({described}), which 8 bits per channel cannot represent",
                code="picture_unsupported",
                hint="export it as SDR (sRGB)",
            )
        if described == b"sRGB":
            break
        found = _transform(stored, described)
        if isinstance(found, str):
            notes += [found] if found else []
            continue
        transform, mode, name = found
        if transform is not None:
            notes.append(f"colours converted from {name} to sRGB")
            return ColourConversion(depth, is_inverted, transform, mode, tuple(notes))
        break
    return ColourConversion(depth, is_inverted, notes=tuple(notes))


Description = bytes | ColourCode | str | None
"""An ICC profile or b"sRGB", a code, the name of an HDR curve, or nothing."""


def _descriptions(stored: Image.Image, file: BinaryIO) -> Iterator[Callable[[], Description]]:
    """The descriptions of a file's colours, highest priority first."""
    info = stored.info

    def profile() -> bytes | None:
        found = info.get("icc_profile")
        return found if isinstance(found, bytes) and found else None

    def cicp() -> Description:
        content = chunk(file, b"cICP")
        # a matrix other than 0 (RGB) or a narrow range is invalid in a PNG
        return from_cicp(content) if content and len(content) == 4 and content[2:] == b"\0\1" else None

    def codes() -> Description:
        file.seek(0)
        content = nclx(file.read())
        return from_cicp(content) if content else None

    if stored.format == "PNG":
        yield cicp
        yield profile
        yield lambda: b"sRGB" if "srgb" in info else None
        yield lambda: from_gamma(info.get("gamma"), info.get("chromaticity"))
    else:
        yield profile
        if stored.format == "AVIF":
            yield codes


def _transform(stored: Image.Image, described: bytes | ColourCode) -> tuple[ImageCmsTransform | None, str, str] | str:
    """The transform to sRGB (None: it is sRGB), its input mode and the profile's name; or why it is not used, "" if
    that makes no difference."""
    from PIL import ImageCms

    try:
        if isinstance(described, bytes) and len(described) > LARGEST_PROFILE:
            raise ValueError
        data = described if isinstance(described, bytes) else icc_profile(described)
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        name = clean(ImageCms.getProfileDescription(profile).strip())[:LONGEST_NAME] or "its own profile"
        space, kind = profile.profile.xcolor_space, profile.profile.device_class
        mode = _MODES.get(space, "")
        unfit = isinstance(described, bytes) and _unfit(stored, space, kind)
        if space == "Lab " and not unfit:
            return None, "", name  # already converted by Pillow
        if not mode:
            return f"its colour profile ({name}) {unfit} and is not used"
        # perceptual, 8 bits, as in viewers
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        if _is_srgb(transform, mode):
            return "" if unfit else (None, mode, name)
        if unfit:
            return f"its colour profile ({name}) {unfit} and is not used"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "its colour profile is damaged and is not used"
    return transform, mode, name


def _unfit(stored: Image.Image, space: str, kind: str) -> str:
    """Why a profile does not apply to the pixels of `stored`; empty if it does."""
    stored_space = _space_of(stored.mode)
    if space != stored_space:
        return f"is wrong (for {_SPACES.get(space, space.strip())} pictures, but this one is {_SPACES[stored_space]})"
    return "" if kind in _CLASSES or space == "Lab " else "describes no pixels (it is a link or an effect)"


def _space_of(mode: str) -> str:
    if mode in {"1", "L", "LA", "La"} or mode.startswith("I;16"):
        return "GRAY"
    return {"CMYK": "CMYK", "LAB": "Lab "}.get(mode, "RGB ")


def _rgb(stored: Image.Image) -> Image.Image:
    if stored.mode == "RGB":
        return stored
    if stored.mode in {"RGBA", "LA"} or not stored.has_transparency_data:
        return stored.convert("RGB")
    return stored.convert("L").convert("RGB") if stored.mode in {"1", "L"} else stored.convert("RGBA").convert("RGB")


def _alpha(stored: Image.Image, depth: int) -> Image.Image | None:
    from PIL import Image

    clear = stored.info.get("transparency")
    if stored.mode.startswith("I;16"):
        if not isinstance(clear, int):
            return None
        import numpy as np

        return Image.fromarray(np.where(np.asarray(stored) == clear, 0, 255).astype(np.uint8))
    if not stored.has_transparency_data:
        return None
    if stored.mode in {"1", "L"} and isinstance(clear, int):
        # the transparent level is in the file's depth; Pillow adjusts it only for one bit
        level = clear if stored.mode == "1" else clear * 255 // (2 ** min(depth, 8) - 1)
        return stored.convert("L").point([255 * (grey != level) for grey in range(256)])
    if isinstance(clear, tuple) and depth == 16:
        stored = stored.copy()
        stored.info["transparency"] = tuple(level >> 8 for level in clear)
    return stored.getchannel("A") if stored.mode in {"RGBA", "LA"} else stored.convert("RGBA").getchannel("A")


def _is_srgb(convert: ImageCmsTransform, mode: str) -> bool:
    """Whether `convert` has no visible effect on pixels of `mode`."""
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
    difference = ImageStat.Stat(ImageChops.difference(made, some.convert("RGB")))
    return max(most for _, most in difference.extrema) <= SAME

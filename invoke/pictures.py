"""A picture file, opened safely and upright, and the geometry of `-W`, `-H` and `--fit`.

A file is trusted with nothing: it must be a regular file of a known format whose size is acceptable before
anything is decoded. Whatever a decoder raises becomes a PictureError.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from itertools import islice
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.errors import PictureError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
LARGEST_FILE = 256 * 2**20
LARGEST_PICTURE = 64_000_000
SMALLEST_SIDE = 8
CROPPED = 16
"""A picture that exceeds its target by less than this many pixels both ways is cropped, not scaled."""

_NAMES_SEARCHED = 2000
_warnings_off = threading.RLock()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as one looks at it: upright, 8 bits."""

    path: str
    image: Image.Image
    """Mode RGB; the colours under transparent pixels are kept as stored."""
    alpha: Image.Image | None
    """Mode L, same size; None when every pixel is opaque."""
    sha256: str
    """Of the file's bytes."""
    notes: tuple[str, ...] = ()
    """What the user should know, such as `first of 10 frames`."""

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What is to be known of a picture before anything is drawn from it."""

    path: str
    width: int
    height: int
    transparent: float
    """Share of the pixels that are not fully opaque, 0..1."""
    erased: bool
    """The fully transparent pixels all have one colour: what was there is gone."""
    notes: tuple[str, ...] = ()


def open_picture(path: str | Path) -> Picture:
    """Read, check and decode the picture at `path` (`~` is expanded).

    Raises PictureError, one sentence.
    """
    name = str(path)
    return _decode(name, read_bytes(name))


def open_mask(path: str | Path) -> Image.Image:
    """The mask at `path`, mode L and upright: 255 = keep, 0 = repaint.

    Its transparency counts where that varies, else its luminance: black or transparent = repaint.
    Raises PictureError.
    """
    picture = open_picture(path)
    if picture.alpha is not None:
        least, most = picture.alpha.getextrema()
        if least != most:
            return picture.alpha
    return picture.image.convert("L")


def describe(path: str | Path) -> PictureFacts:
    """What is known of the picture at `path`; remembered until the file changes.

    Raises PictureError.
    """
    name = str(path)
    try:
        found = os.stat(_expanded(name))  # noqa: PTH116 - this runs once per line of a batch
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    return _facts(name, (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size))


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a regular file; anything else (a FIFO, a device, a folder) is refused without waiting.

    Raises PictureError.
    """
    path = str(path)
    try:
        descriptor = os.open(_expanded(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                raise IsADirectoryError(errno.EISDIR, "is a folder")
            if not stat.S_ISREG(found.st_mode):
                raise PictureError(f"{path}: this is no regular file", code="picture_unreadable")
            if found.st_size > LARGEST_FILE:
                raise _too_large(path, f"{found.st_size >> 20} MB, at most {LARGEST_FILE >> 20} are read")
            return file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def target_size(  # noqa: PLR0913 - all but the first two by keyword
    width: int, height: int, *, asked_width: int | None, asked_height: int | None, fit: bool, multiple: int
) -> tuple[int, int]:
    """The size that a picture of `width` × `height` gets under `-W`, `-H` and `--fit`.

    Nothing asked: its own, each side floored to `multiple`. Both: exactly those. One: the other follows the
    picture's shape. `fit`: shrunk into the box, never enlarged. No side is below `multiple`.
    """
    if fit or (asked_width is None and asked_height is None):
        scale = Fraction(1)
        if asked_width is not None:
            scale = min(scale, Fraction(max(asked_width, multiple), width))
        if asked_height is not None:
            scale = min(scale, Fraction(max(asked_height, multiple), height))
        return _floored(width * scale, multiple), _floored(height * scale, multiple)
    if asked_height is None:
        assert asked_width is not None
        return asked_width, _rounded(Fraction(asked_width * height, width), multiple)
    if asked_width is None:
        return _rounded(Fraction(asked_height * width, height), multiple), asked_height
    return asked_width, asked_height


def prepare(image: Image.Image, width: int, height: int) -> Image.Image:
    """`image` (RGB or L) at exactly `width` × `height`: its middle, scaled only when cropping is not enough.

    Depends on nothing but the sizes, so a picture and its mask stay aligned. Each channel is scaled by
    itself: colours hidden under transparency survive.
    """
    from PIL import Image  # noqa: PLC0415

    if image.size == (width, height):
        return image
    spare_x, spare_y = image.width - width, image.height - height
    if 0 <= spare_x < CROPPED and 0 <= spare_y < CROPPED:
        left, top = spare_x // 2, spare_y // 2
        return image.crop((left, top, left + width, top + height))
    scale = max(width / image.width, height / image.height)
    shown_width, shown_height = min(width / scale, image.width), min(height / scale, image.height)
    x, y = (image.width - shown_width) / 2, (image.height - shown_height) / 2
    box = (x, y, min(x + shown_width, image.width), min(y + shown_height, image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box)


def _floored(side: Fraction, multiple: int) -> int:
    return max(multiple, floor(side / multiple) * multiple)


def _rounded(side: Fraction, multiple: int) -> int:
    return max(multiple, floor(side / multiple + Fraction(1, 2)) * multiple)


@lru_cache(maxsize=256)
def _facts(path: str, stamp: tuple[int, ...]) -> PictureFacts:
    picture = open_picture(path)
    alpha = picture.alpha
    transparent, erased = 0.0, False
    if alpha is not None:
        counts = alpha.histogram()
        transparent = 1 - counts[255] / (picture.width * picture.height)
        if counts[0]:
            holes = alpha.point([255] + [0] * 255)
            used = sum(count > 0 for count in picture.image.histogram(holes))
            erased = used == 3  # one level in each of the three channels
    return PictureFacts(path, picture.width, picture.height, transparent, erased, picture.notes)


def _expanded(path: str) -> str:
    return os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises for an unknown ~user


def _decode(path: str, data: bytes) -> Picture:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    if not data:
        raise PictureError(f"{path}: this file is empty", code="picture_unreadable")
    try:
        with _quiet(), Image.open(BytesIO(data), formats=FORMATS) as stored:
            _check_size(path, *stored.size)
            stored.load()
            image, alpha = _colours(path, stored, _depth(stored.format, data))
            turn = _turn(stored)
            if turn is not None:
                image = image.transpose(turn)
                alpha = alpha and alpha.transpose(turn)
            notes = _notes(stored)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{path}: this is no picture that can be read",
            code="picture_unreadable",
            hint="PNG, JPEG, WebP, BMP, GIF and TIFF are read",
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, f"at most {LARGEST_PICTURE // 10**6} million pixels are read") from error
    except MemoryError as error:
        raise _too_large(path, "there is not enough memory to read it") from error
    except Exception as error:  # decoders raise whatever they like: OSError, SyntaxError, RuntimeError …
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PictureError(f"{path}: this picture is damaged: {reason}", code="picture_unreadable") from error
    return Picture(path, image, alpha, sha256(data).hexdigest(), notes)


def _check_size(path: str, width: int, height: int) -> None:
    if width * height > LARGEST_PICTURE:
        limit = f"at most {LARGEST_PICTURE // 10**6} million pixels are read"
        raise _too_large(path, f"{width}×{height} pixels, {limit}")
    if min(width, height) < SMALLEST_SIDE:
        raise PictureError(
            f"{path}: {width}×{height} pixels are too few, each side needs at least {SMALLEST_SIDE}",
            code="picture_too_small",
        )


def _colours(path: str, stored: Image.Image, depth: int) -> tuple[Image.Image, Image.Image | None]:
    """RGB and, if anything can be transparent, alpha."""
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


def _grey_16(stored: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    # Pillow's own conversion clips at 255 instead of scaling
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    levels = np.asarray(stored)
    image = Image.fromarray((levels // 257).astype(np.uint8)).convert("RGB")
    clear = stored.info.get("transparency")
    if not isinstance(clear, int):
        return image, None
    return image, _if_seen(Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8)))


def _if_seen(alpha: Image.Image) -> Image.Image | None:
    return None if alpha.getextrema() == (255, 255) else alpha


def _depth(kind: str | None, data: bytes) -> int:
    """Bits per channel as a PNG's header says; 8 for other formats."""
    return data[24] if kind == "PNG" and len(data) > 24 else 8


def _turn(stored: Image.Image) -> Image.Transpose | None:
    """How to set a picture upright, as its EXIF data say (TIFF is upright already)."""
    from PIL import Image  # noqa: PLC0415

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


def _notes(stored: Image.Image) -> tuple[str, ...]:
    try:
        frames = int(getattr(stored, "n_frames", 1))
    except Exception:  # the first frame is read; that a later one is broken does not matter
        return ("first of several frames",)
    return (f"first of {frames} frames",) if frames > 1 else ()


@contextmanager
def _quiet() -> Iterator[None]:
    """No warning of a decoder reaches the terminal. One thread at a time: the filters are global."""
    with _warnings_off, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _too_large(path: str, why: str) -> PictureError:
    return PictureError(
        f"{path}: this picture is too large: {why}", code="picture_too_large", hint="shrink it first"
    )


def _unreadable(path: str, error: OSError | ValueError) -> PictureError:
    code = "picture_unreadable"
    if not path.strip():
        return PictureError("no picture is named", code="picture_missing")
    match error:
        case FileNotFoundError():
            return PictureError(
                f"{path}: there is no such picture", code="picture_missing", hint=_nearest(path)
            )
        case IsADirectoryError():
            return PictureError(f"{path}: this is a folder, not a picture", code=code)
        case PermissionError():
            return PictureError(f"{path}: may not be read", code=code, hint="check the file's permissions")
        case OSError():
            return PictureError(f"{path}: cannot be read: {error.strerror or error}", code=code)
        case _:
            return PictureError(f"{path!r}: no file can have this name", code=code)


def _nearest(path: str) -> str:
    wanted = Path(_expanded(path))
    try:
        with os.scandir(wanted.parent) as entries:
            names = [entry.name for entry in islice(entries, _NAMES_SEARCHED)]
    except OSError:
        return f"there is no folder {wanted.parent}"
    near = get_close_matches(wanted.name, names, 1)
    return f"did you mean '{Path(path).parent / near[0]}'?" if near else ""

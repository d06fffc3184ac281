"""A picture file's bytes → a picture as one looks at it: upright, 8 bits, colours and transparency apart.

A file is trusted with nothing: its format must be a known one and its size acceptable before anything is decoded.
Whatever a decoder raises becomes a PictureError.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.errors import PictureError, first_line
from invoke.events import Pixels
from invoke.images.colours import read_colours, read_turn, to_srgb
from invoke.images.files import read_bytes, too_large

if TYPE_CHECKING:
    from PIL import Image


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
LARGEST_PICTURE = 64_000_000
SMALLEST_SIDE = 8

_warnings_off = threading.RLock()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as one looks at it: upright, 8 bits."""

    path: str
    image: Image.Image
    """Mode RGB, sRGB; the colours under transparent pixels are kept as stored."""
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

    @property
    def as_mask(self) -> Image.Image:
        """What it says as a mask, mode L: 255 = keep, 0 = repaint.

        Its transparency counts where that varies, else its luminance: black or transparent = repaint.
        """
        return self.alpha if self.alpha is not None and self.is_cut_out else self.image.convert("L")

    @property
    def is_cut_out(self) -> bool:
        """Whether it is more transparent here than there."""
        if self.alpha is None:
            return False
        least, most = self.alpha.getextrema()
        return least != most


def open_picture(path: str | Path) -> Picture:
    """Read, check and decode the picture at `path` (`~` is expanded).

    Raises PictureError, one sentence. A damaged TIFF may say more: libtiff writes to the process's stderr.
    """
    name = str(path)
    return decode(name, read_bytes(name))


def read_pixels(path: str | Path) -> Pixels:
    """The picture at `path` as one looks at it, without its transparency. Raises PictureError."""
    picture = open_picture(path)
    return Pixels(picture.width, picture.height, picture.image.tobytes())


def decode(path: str, data: bytes) -> Picture:
    """`data`, the bytes of a picture file that errors call `path`. Raises PictureError."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise PictureError(f"{path}: this file is empty", code="picture_unreadable")
    try:
        with _quiet(), Image.open(BytesIO(data), formats=FORMATS) as stored:
            _check_size(path, *stored.size)
            stored.load()
            image, alpha = read_colours(path, stored, _depth(stored.format, data))
            image, converted = to_srgb(stored, image)
            turn = read_turn(stored)
            if turn is not None:
                image = image.transpose(turn)
                alpha = alpha and alpha.transpose(turn)
            notes = (*_frames(stored), *filter(None, [converted]))
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{path}: this is no picture that can be read",
            code="picture_unreadable",
            hint="PNG, JPEG, WebP, BMP, GIF and TIFF are read",
        ) from error
    except Image.DecompressionBombError as error:
        raise too_large(path, f"at most {LARGEST_PICTURE // 10**6} million pixels are read") from error
    except MemoryError as error:
        raise too_large(path, "there is not enough memory to read it") from error
    except Exception as error:  # decoders raise whatever they like: OSError, SyntaxError, RuntimeError …
        reason = first_line(error)
        raise PictureError(f"{path}: this picture is damaged: {reason}", code="picture_unreadable") from error
    return Picture(path, image, alpha, sha256(data).hexdigest(), notes)


def _check_size(path: str, width: int, height: int) -> None:
    if width * height > LARGEST_PICTURE:
        limit = f"at most {LARGEST_PICTURE // 10**6} million pixels are read"
        raise too_large(path, f"{width}×{height} pixels, {limit}")
    if min(width, height) < SMALLEST_SIDE:
        raise PictureError(
            f"{path}: {width}×{height} pixels are too few, each side needs at least {SMALLEST_SIDE}",
            code="picture_too_small",
        )


def _frames(stored: Image.Image) -> tuple[str, ...]:
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


def _depth(kind: str | None, data: bytes) -> int:
    """Bits per channel as a PNG's header says; 8 for other formats."""
    return data[24] if kind == "PNG" and len(data) > 24 else 8

"""A picture file's bytes → the picture: upright, 8 bits, colours and transparency apart.

A file is trusted with nothing: its format must be a known one and its size acceptable before anything is decoded.
Whatever a decoder raises becomes a PictureError. The decoded pixels are the only full copy that is kept; colours and
transparency are made from them when they are asked for, or band by band.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.errors import PictureError, first_line
from invoke.events import Pixels
from invoke.images.colours import ColourConversion, conversion_of, read_turn
from invoke.images.files import read_bytes, too_large
from invoke.images.foreign_formats import format_name
from invoke.images.jpeg_scans import ends_early, jpeg_streams
from invoke.images.png_chunks import lacks_palette, missing_share
from invoke.images.transparency import Transparency, opaque_from, summarise, unmultiplied

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF")
READ = "PNG, JPEG, WebP, AVIF, BMP, GIF and TIFF are read"
LARGEST_PICTURE = 64_000_000
SMALLEST_SIDE = 8
BAND = 2**17
"""Pixels that are converted at once."""
LARGE = 16_000_000
"""Pixels from which a picture is averaged down before it is scaled to less than a quarter."""

_REASONS = {
    "image file is truncated": "its data end early",
    "decoder error": "its data are invalid or end early",
    "failed to read next frame": "its data are invalid or end early",
}
"""What decoders say → what it means."""

_warnings_off = threading.RLock()


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as one looks at it: upright, 8 bits."""

    path: str
    stored: Image.Image
    """The pixels as they were decoded: any mode, not turned."""
    sha256: str
    """Of the file's bytes."""
    notes: tuple[str, ...] = ()
    """What the user should know, such as `first of 10 frames`."""
    conversion: ColourConversion = field(default_factory=ColourConversion)
    turn: Image.Transpose | None = None
    transparency: Transparency = field(default_factory=Transparency)

    @property
    def width(self) -> int:
        return self._size[0]

    @property
    def height(self) -> int:
        return self._size[1]

    @cached_property
    def image(self) -> Image.Image:
        """Mode RGB, sRGB; the colours under transparent pixels are kept as stored."""
        if self.stored.mode == "RGB" and self.conversion.transform is None and not self.transparency.is_premultiplied:
            return self._turned(self.stored)
        return self._turned(self._joined("RGB"))

    @property
    def on_white(self) -> Image.Image:
        """The same, white where it is transparent, whatever colour is hidden there."""
        from PIL import Image

        if self.alpha is None:
            return self.image
        return Image.composite(self.image, Image.new("RGB", self.image.size, "white"), self.alpha)

    @cached_property
    def alpha(self) -> Image.Image | None:
        """Mode L, as large as `image`; None when every pixel is opaque."""
        return self._turned(self._joined("L")) if self.transparency.share > 0 else None

    @property
    def as_mask(self) -> Image.Image:
        """What it says as a mask, mode L: 255 = keep, 0 = repaint.

        Its transparency counts where that varies, else its luminance: black or transparent = repaint.
        """
        return self.alpha if self.alpha is not None and self.transparency.varies else self.image.convert("L")

    @property
    def as_map(self) -> Image.Image:
        """What it says as a map of strengths, mode L: its luminance; what is transparent is black."""
        from PIL import ImageChops

        grey = self.image.convert("L")
        return grey if self.alpha is None else ImageChops.multiply(grey, self.alpha)

    @property
    def mask_share(self) -> float:
        """How much it repaints as a mask, 0..1: the mean of `as_mask`, from 255 (nothing) to 0 (everything)."""
        if self.transparency.varies:
            return self.transparency.share
        kept = sum(
            level * count for image, _ in self.bands() for level, count in enumerate(image.convert("L").histogram())
        )
        return 1 - kept / (255 * self.width * self.height)

    def bands(self) -> Iterator[tuple[Image.Image, Image.Image | None]]:
        """Its rows as they are stored (not turned), some at a time: RGB and alpha."""
        for image, alpha in self.stored_bands():
            if alpha is not None and self.transparency.is_premultiplied:
                yield unmultiplied(image, alpha), opaque_from(alpha)
            else:
                yield image, alpha and opaque_from(alpha)

    def stored_bands(self) -> Iterator[tuple[Image.Image, Image.Image | None]]:
        """The same, with the transparency as it is stored and colours that may be multiplied by it."""
        width, height = self.stored.size
        rows = max(1, BAND // width)
        for top in range(0, height, rows):
            whole = rows >= height
            band = self.stored if whole else self.stored.crop((0, top, width, min(top + rows, height)))
            yield self.conversion.rgb(band), self.conversion.alpha(band)

    def reduced(self, width: int, height: int) -> Picture:
        """A large picture that is scaled to much less than its size, averaged to about three times that first."""
        factor = int(min(self.width / width, self.height / height) / 3)
        if self.width * self.height < LARGE or factor < 2:
            return self
        from invoke.images.geometry import averaged

        stored = averaged(self.bands(), *self.stored.size, factor=factor)
        return Picture(
            self.path,
            stored,
            self.sha256,
            self.notes,
            turn=self.turn,
            transparency=replace(self.transparency, is_premultiplied=False),
        )

    @property
    def _size(self) -> tuple[int, int]:
        width, height = self.stored.size
        return (height, width) if self.turn in _lying() else (width, height)

    def _joined(self, mode: str) -> Image.Image:
        """The RGB or L of all bands."""
        from PIL import Image

        whole, top = Image.new(mode, self.stored.size), 0
        for image, alpha in self.bands():
            if mode == "RGB":
                whole.paste(image, (0, top))
            elif alpha is not None:
                whole.paste(alpha, (0, top))
            top += image.height
        return whole

    def _turned(self, image: Image.Image) -> Image.Image:
        return image if self.turn is None else image.transpose(self.turn)


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
        with _quiet(), Image.open(BytesIO(data), formats=FORMATS) as file:
            _check_size(path, *file.size)
            _check_whole(path, file, data)  # before the pixels take their memory
            file.load()
            conversion = conversion_of(path, file, data)
            alone = file._new(file.im)  # the same pixels without their file, which is closed
            picture = Picture(
                path, alone, sha256(data).hexdigest(), (*_frames(file), *conversion.notes), conversion, read_turn(file)
            )
            transparency = summarise(picture.stored_bands())
            notes = picture.notes
            if transparency.is_premultiplied:
                notes += ("its colours were multiplied by its transparency (premultiplied), which is undone",)
            return replace(picture, notes=notes, transparency=transparency)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        kind = format_name(data)
        raise PictureError(
            f"{path}: this {f'is {kind}, which cannot be read' if kind else 'file is not a readable picture'}",
            code="picture_unreadable",
            hint=f"save it as PNG or JPEG: {READ}" if kind else READ,
        ) from error
    except Image.DecompressionBombError as error:
        raise too_large(path, f"at most {LARGEST_PICTURE // 10**6} million pixels are read") from error
    except MemoryError as error:
        raise too_large(path, "there is not enough memory to read it") from error
    except Exception as error:  # decoders raise whatever they like: OSError, SyntaxError, RuntimeError …
        reason = next((ours for theirs, ours in _REASONS.items() if theirs in str(error)), first_line(error))
        raise PictureError(f"{path}: this picture is damaged: {reason}", code="picture_unreadable") from error


def _check_whole(path: str, file: Image.Image, data: bytes) -> None:
    """Raise PictureError where pixels are missing that the decoder of `file`, the picture in `data`, has made up."""
    if file.format == "PNG" and lacks_palette(data):
        raise PictureError(f"{path}: this picture is damaged: it has no palette", code="picture_unreadable")
    missing = missing_share(data) if file.format == "PNG" else 0.0
    if missing or any(map(ends_early, jpeg_streams(file, data))):
        how_much = f", {100 * missing:.2g} % of the pixels are missing" if missing else ""
        raise PictureError(
            f"{path}: this picture is damaged: its data end early{how_much}",
            code="picture_unreadable",
            hint="save or download it again",
        )


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


def _lying() -> frozenset[Image.Transpose]:
    """The turns that exchange width and height."""
    from PIL import Image

    turns = Image.Transpose
    return frozenset({turns.TRANSPOSE, turns.ROTATE_270, turns.TRANSVERSE, turns.ROTATE_90})

"""Opens a picture file: upright, 8 bits, with colours and transparency separate.

Files are not trusted: the format must be known and the size acceptable before anything is decoded, and all errors of
decoders become PictureErrors. The decoded pixels are the only full copy in memory: the file is streamed to the decoder,
and colours and transparency are computed on demand, or band by band. Decoders need additional memory
(docs/img2img.md).
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from invoke.errors import PictureError, first_line
from invoke.events import Pixels
from invoke.images import avif_boxes
from invoke.images.colours import ColourConversion, conversion_of
from invoke.images.files import hash_of, opened, too_large
from invoke.images.foreign_formats import format_name, supported_name
from invoke.images.header_size import webp_chunk
from invoke.images.jpeg_scans import ends_early, jpeg_streams
from invoke.images.orientation import read_turn
from invoke.images.png_chunks import MOST_CHUNKS, has_too_many_chunks, lacks_palette, missing_share
from invoke.images.tiff_planes import planes_by_libtiff
from invoke.images.transparency import Transparency, opaque_from, summarise, unmultiplied

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF")
READ = "PNG, JPEG, WebP, AVIF, BMP, GIF and TIFF are supported"
LARGEST_PICTURE = 64_000_000
SMALLEST_SIDE = 8
BAND = 2**17
"""Pixels converted at once."""
MOST_FRAMES = 100
LARGEST_COUNTED = 2**21
"""Frames of a TIFF, and bytes of a GIF, up to which frames are counted."""
LARGE = 16_000_000
"""Pictures with at least this many pixels are averaged down before they are scaled to less than a sixth."""
KEPT = 3
"""Averaging stops at this multiple of the target size, in both directions."""

DECODERS = {"WEBP": 16, "AVIF": 9, "TIFF": 8}
"""Format → bytes per pixel that its decoder may need; others need four at most, for the picture itself."""
MUCH_MEMORY = 300_000_000
"""More than this many bytes are mentioned."""

_REASONS = {
    "image file is truncated": "its data ends early",
    "decoder error": "its data is invalid or ends early",
    "failed to read next frame": "its data is invalid or ends early",
}
"""Error messages of decoders → meaning."""
_HEAD = 4096
"""Bytes needed to identify a file."""

_warnings_off = threading.RLock()


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture."""

    path: str
    stored: Image.Image
    """The decoded pixels: any mode, not rotated."""
    sha256: str
    """Of the file's bytes."""
    notes: tuple[str, ...] = ()
    """Notes for the user, such as `first of 10 frames`."""
    conversion: ColourConversion = field(default_factory=ColourConversion)
    turn: Image.Transpose | None = None
    transparency: Transparency = field(default_factory=Transparency)
    size_in_file: tuple[int, int] = (0, 0)
    """Upright width and height in the file; `stored` may be smaller."""

    @property
    def width(self) -> int:
        return _upright(self.stored.size, self.turn)[0]

    @property
    def height(self) -> int:
        return _upright(self.stored.size, self.turn)[1]

    @cached_property
    def image(self) -> Image.Image:
        """Mode RGB, sRGB; the colours under transparent pixels are kept as stored."""
        if self.stored.mode == "RGB" and self.conversion.transform is None and not self.transparency.is_premultiplied:
            return self._turned(self.stored)
        return self._turned(self._joined("RGB", lambda image, alpha: image))

    @property
    def on_white(self) -> Image.Image:
        """Mode RGB, composited on white."""
        from PIL import Image

        if self.alpha is None:
            return self.image
        return Image.composite(self.image, Image.new("RGB", self.image.size, "white"), self.alpha)

    @cached_property
    def alpha(self) -> Image.Image | None:
        """Mode L, the size of `image`; None if every pixel is opaque."""
        if not self.transparency.share:
            return None
        return self._turned(self._joined("L", lambda image, alpha: alpha))

    @property
    def as_mask(self) -> Image.Image:
        """The picture interpreted as a mask, mode L: 255 = keep, 0 = repaint.

        Uses its transparency if that varies, else its luminance: black or transparent = repaint.
        """
        if self.alpha is not None and self.transparency.varies:
            return self.alpha
        return self._turned(self._joined("L", lambda image, alpha: image.convert("L")))

    @property
    def as_map(self) -> Image.Image:
        """The picture interpreted as a strength map, mode L: its luminance; transparent pixels are black."""
        from PIL import ImageChops

        def seen(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
            grey = image.convert("L")
            return grey if alpha is None else ImageChops.multiply(grey, alpha)

        return self._turned(self._joined("L", seen))

    @property
    def mask_share(self) -> float:
        """The fraction that it repaints as a mask, 0..1: from the mean of `as_mask`."""
        if self.transparency.varies:
            return self.transparency.share
        kept = sum(
            level * count for image, _ in self.bands() for level, count in enumerate(image.convert("L").histogram())
        )
        return 1 - kept / (255 * self.width * self.height)

    def bands(self) -> Iterator[tuple[Image.Image, Image.Image | None]]:
        """Its stored rows (not rotated), some at a time: RGB and alpha."""
        for image, alpha in self.stored_bands():
            if alpha is not None and self.transparency.is_premultiplied:
                yield unmultiplied(image, alpha), opaque_from(alpha)
            else:
                yield image, alpha and opaque_from(alpha)

    def stored_bands(self) -> Iterator[tuple[Image.Image, Image.Image | None]]:
        """Like `bands`, with the stored alpha and possibly premultiplied colours."""
        width, height = self.stored.size
        rows = max(1, BAND // width)
        for top in range(0, height, rows):
            whole = rows >= height
            band = self.stored if whole else self.stored.crop((0, top, width, min(top + rows, height)))
            yield self.conversion.rgb(band), self.conversion.alpha(band)

    def reduced(self, width: int, height: int) -> Picture:
        """Average a large picture down to about three times the target size; small ones are returned unchanged."""
        factor = _factor(self.width, self.height, (width, height))
        if self.width * self.height < LARGE or factor < 2:
            return self
        from invoke.images.geometry import averaged

        stored = averaged(self.bands(), *self.stored.size, factor=factor)
        transparency = replace(self.transparency, is_premultiplied=False)
        return replace(self, stored=stored, conversion=ColourConversion(), transparency=transparency)

    def _joined(self, mode: str, of: Callable[[Image.Image, Image.Image | None], Image.Image | None]) -> Image.Image:
        """Apply `of` to all bands and join the results, in `mode` (RGB or L)."""
        from PIL import Image

        whole, top = Image.new(mode, self.stored.size), 0
        for image, alpha in self.bands():
            if (made := of(image, alpha)) is not None:
                whole.paste(made, (0, top))
            top += image.height
        return whole

    def _turned(self, image: Image.Image) -> Image.Image:
        return image if self.turn is None else image.transpose(self.turn)


def open_picture(path: str | Path, *, enough: tuple[int, int] | None = None) -> Picture:
    """Read, check and decode the picture at `path` (`~` is expanded).

    `enough` is the size to which it will be scaled: a large JPEG is not decoded much larger than that.
    Raises PictureError, one sentence. A damaged TIFF may say more: libtiff writes to the process's stderr.
    """
    name = str(path)
    with opened(name) as file:
        return _decode(name, file, enough)


def read_pixels(path: str | Path) -> Pixels:
    """The picture at `path`, upright, without its transparency. Raises PictureError."""
    picture = open_picture(path)
    return Pixels(picture.width, picture.height, picture.image.tobytes())


def decode(path: str, data: bytes) -> Picture:
    """Decode the bytes of a picture file; `path` names it in errors. Raises PictureError."""
    return _decode(path, BytesIO(data), None)


def _decode(path: str, file: BinaryIO, enough: tuple[int, int] | None) -> Picture:
    from PIL import Image, UnidentifiedImageError

    if not file.read(1):
        raise PictureError(f"{path}: this file is empty", code="picture_unreadable")
    if has_too_many_chunks(file):
        raise too_large(path, f"it has more than {MOST_CHUNKS:,} chunks")
    file.seek(0)
    try:
        with _quiet(), planes_by_libtiff(path, Image.open(file, formats=FORMATS), file) as image:
            _check_size(path, *image.size)
            place = file.tell()
            _check_whole(path, image, file)  # before the pixels take up memory
            file.seek(place)  # where the decoder continues
            turn = read_turn(image)
            size = _upright(image.size, turn)
            if enough is not None and image.width * image.height >= LARGE:
                factor = max(_factor(*size, enough), 1)
                image.draft(image.mode, (image.width // factor, image.height // factor))
            uncovered = _uncovered(image)
            image.load()
            conversion = conversion_of(path, image, file)
            alone = _straight(image._new(image.im), uncovered)  # detached from the file, which is closed
            notes = (*_frames(image, file), *conversion.notes, *_memory(image))
            picture = Picture(path, alone, hash_of(file), notes, conversion, turn, size_in_file=size)
            transparency = summarise(picture.stored_bands(), webp=_webp(image, file))
            if transparency.is_premultiplied:
                notes += ("its colours are premultiplied by its transparency, which is undone",)
            return replace(picture, notes=notes, transparency=transparency)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        file.seek(0)
        raise _unidentified(path, file.read(_HEAD)) from error
    except Image.DecompressionBombError as error:
        raise too_large(path, f"at most {LARGEST_PICTURE // 10**6} million pixels are allowed") from error
    except MemoryError as error:
        raise too_large(path, "there is not enough memory to open it") from error
    except Exception as error:  # decoders raise all kinds of errors: OSError, SyntaxError, RuntimeError, …
        reason = next((ours for theirs, ours in _REASONS.items() if theirs in str(error)), first_line(error))
        raise PictureError(f"{path}: this picture is damaged: {reason}", code="picture_unreadable") from error


def _unidentified(path: str, head: bytes) -> PictureError:
    """The error for a file that begins with `head`, which no decoder accepts."""
    if name := supported_name(head):
        why, hint = f"this {name} is damaged, or of a kind that is not supported", "save it as PNG, 8 bits per channel"
    elif name := format_name(head):
        why, hint = f"this is {name}, which cannot be read", f"save it as PNG or JPEG: {READ}"
    else:
        why, hint = "this file is not a readable picture", READ
    return PictureError(f"{path}: {why}", code="picture_unreadable", hint=hint)


def _check_whole(path: str, image: Image.Image, file: BinaryIO) -> None:
    """Raise PictureError if `file` is truncated, which the decoder of `image` would not report."""
    if image.format == "PNG" and lacks_palette(file):
        raise PictureError(f"{path}: this picture is damaged: it has no palette", code="picture_unreadable")
    missing = missing_share(file) if image.format == "PNG" else 0.0
    if missing or any(map(ends_early, jpeg_streams(image, file))) or _lacks_end(image, file):
        how_much = f", {100 * missing:.2g} % of the pixels are missing" if missing else ""
        raise PictureError(
            f"{path}: this picture is damaged: its data ends early{how_much}",
            code="picture_unreadable",
            hint="save or download it again",
        )


def _lacks_end(image: Image.Image, file: BinaryIO) -> bool:
    if image.format != "AVIF":
        return False
    file.seek(0)
    return avif_boxes.ends_early(file.read())


def _check_size(path: str, width: int, height: int) -> None:
    if width * height > LARGEST_PICTURE:
        limit = f"at most {LARGEST_PICTURE // 10**6} million pixels are allowed"
        raise too_large(path, f"{width}×{height} pixels, {limit}")
    if min(width, height) < SMALLEST_SIDE:
        raise PictureError(
            f"{path}: {width}×{height} pixels are too few; each side needs at least {SMALLEST_SIDE}",
            code="picture_too_small",
        )


def _factor(width: int, height: int, enough: tuple[int, int]) -> int:
    """The factor by which a picture can be averaged before it is scaled to `enough`."""
    return int(min(width / enough[0], height / enough[1]) / KEPT)


def _upright(size: tuple[int, int], turn: Image.Transpose | None) -> tuple[int, int]:
    return size[::-1] if turn in _lying() else size


def _uncovered(image: Image.Image) -> tuple[int, int, int, int] | None:
    """The box of a GIF's first frame where that is smaller than the picture, and its colours are all opaque."""
    if image.format != "GIF" or "transparency" in image.info or not image.tile:  # type: ignore[attr-defined]
        return None
    box = tuple(image.tile[0].extents)  # type: ignore[attr-defined]
    return None if box == (0, 0, *image.size) else box


def _straight(stored: Image.Image, frame: tuple[int, int, int, int] | None) -> Image.Image:
    """`stored` with straight alpha; everything outside of `frame` is transparent, as in browsers."""
    from PIL import Image

    if stored.mode == "La":
        return stored.convert("LA")
    if frame is None:
        return stored
    canvas = Image.new("RGBA", stored.size)
    canvas.paste(stored.crop(frame).convert("RGBA"), frame)
    return canvas


def _frames(stored: Image.Image, file: BinaryIO) -> tuple[str, ...]:
    """A note about frames that are not read. Pillow walks through those of a TIFF or GIF, which can be millions."""
    several = ("first of several frames",)
    try:
        if stored.format == "TIFF":
            with suppress(EOFError):
                for frame in range(MOST_FRAMES):
                    stored.seek(frame)
                return several
        if stored.format == "GIF" and file.seek(0, os.SEEK_END) > LARGEST_COUNTED:
            return several if getattr(stored, "is_animated", False) else ()
        frames = int(getattr(stored, "n_frames", 1))
    except Exception:  # the first frame is valid; a broken later one does not matter
        return several
    return (f"first of {frames} frames",) if frames > 1 else ()


def _webp(stored: Image.Image, file: BinaryIO) -> Literal["", "lossy", "lossless"]:
    if stored.format != "WEBP":
        return ""
    return "lossless" if webp_chunk(file, b"VP8L") is not None else "lossy"


def _memory(stored: Image.Image) -> tuple[str, ...]:
    """A note if decoding took much more memory than the same picture needs as PNG."""
    per_pixel = DECODERS.get(stored.format or "", 0)
    if stored.format == "TIFF" and stored.info.get("compression") == "raw":
        per_pixel = 0
    taken = per_pixel * stored.width * stored.height
    if taken <= MUCH_MEMORY:
        return ()
    least = 4 * stored.width * stored.height
    return (f"opening this {stored.format} takes up to {taken / 1e6:.0f} MB of memory; as PNG {least / 1e6:.0f} MB",)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings of decoders. One thread at a time, since warning filters are global."""
    with _warnings_off, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _lying() -> frozenset[Image.Transpose]:
    """The rotations that swap width and height."""
    from PIL import Image

    turns = Image.Transpose
    return frozenset({turns.TRANSPOSE, turns.ROTATE_270, turns.TRANSVERSE, turns.ROTATE_90})

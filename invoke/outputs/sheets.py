"""Grids, sweeps, strips and animations: several pictures in one file."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import ceil, sqrt
from typing import TYPE_CHECKING

from invoke.events import Pixels
from invoke.images import as_image

if TYPE_CHECKING:
    from PIL import Image, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


LARGEST_SHEET = 64_000_000
"""Maximum pixels of a sheet; the pictures of a larger one are shrunk."""

LONGEST_STRIP = 12
"""Maximum frames in a row of a strip."""

_GAP = 4
_BACKGROUND = (24, 24, 24)
_INK = (235, 235, 235)
_MILLISECONDS = 120
_LAST_MILLISECONDS = 1500


def grid(pictures: Sequence[Pixels], labels: Sequence[str], columns: int | None = None) -> Pixels:
    """A sheet of labelled pictures, in rows from the top left; nearly square without `columns`."""
    from PIL import Image, ImageDraw

    assert len(pictures) == len(labels) > 0
    across = columns or ceil(sqrt(len(pictures)))
    down = ceil(len(pictures) / across)
    images = _shrunk([as_image(picture) for picture in pictures], across * down)
    width, height = max(image.width for image in images), max(image.height for image in images)
    font = _font(width)
    band = ceil(font.getbbox("Ag|")[3] * 1.3)
    sheet = Image.new("RGB", (across * (width + _GAP) + _GAP, down * (height + band + _GAP) + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        row, column = divmod(index, across)
        left, top = _GAP + column * (width + _GAP), _GAP + row * (height + band + _GAP)
        sheet.paste(image, (left + (width - image.width) // 2, top + (height - image.height) // 2))
        draw.text((left + 2, top + height), _fitting(label, font, width - 4), fill=_INK, font=font)
    return _pixels(sheet)


def strip(frames: Sequence[Pixels], labels: Sequence[str]) -> Pixels:
    """The frames side by side, each labelled; many of them in rows of equal length."""
    rows = ceil(len(frames) / LONGEST_STRIP)
    return grid(frames, labels, columns=ceil(len(frames) / rows))


def gif(frames: Sequence[Pixels]) -> bytes:
    """The frames as an endless animation that pauses on the last."""
    assert frames
    images = [as_image(frame).quantize(256) for frame in frames]
    file = BytesIO()
    durations = [_MILLISECONDS] * (len(images) - 1) + [_LAST_MILLISECONDS]
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=False)
    return file.getvalue()


def _pixels(image: Image.Image) -> Pixels:
    return Pixels(image.width, image.height, image.tobytes())


def _shrunk(images: list[Image.Image], cells: int) -> list[Image.Image]:
    largest = max(image.width for image in images) * max(image.height for image in images)
    scale = sqrt(LARGEST_SHEET / (largest * cells))
    if scale >= 1:
        return images
    return [image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale)))) for image in images]


def _font(width: int) -> Font:
    """A font large enough to be read when viewing the whole sheet."""
    from PIL import ImageFont

    return ImageFont.load_default(min(48, max(11, width // 18)))


def _fitting(label: str, font: Font, width: int) -> str:
    """Shorten `label` to `width` pixels."""
    text = " ".join(label.split())
    if font.getlength(text) <= width:
        return text
    short = text
    while short and font.getlength(short + "...") > width:
        short = short[:-1]
    return short + "..."


def enlarged(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale `pixels` to `size` (width, height), from any size and proportions.

    Scaling is smooth up to half the size; the last doubling repeats pixels, so that encoding takes a third of the time.
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

"""Reads the upright size of a picture from the first bytes of its file.

For completion, where Pillow's import alone (40 ms) would be felt. What is not understood has no size;
whether a picture can be used is decided by `opening`.
"""

import os
import stat
import struct
from itertools import islice
from struct import unpack
from typing import BinaryIO

from invoke.images.avif_boxes import upright_size
from invoke.images.orientation import ORIENTATION
from invoke.images.png_chunks import SIGNATURE, chunks
from invoke.paths import expanded

Size = tuple[int, int]

_SEGMENTS = 100
"""Limit of chunks or segments to read."""
_BOXES = 2**17
"""Bytes of an AVIF that are searched for its properties."""
_WIDTH, _HEIGHT = 0x0100, 0x0101
"""Tags of TIFF and EXIF."""
_SHORT = 3
"""The tag type with two bytes; the other relevant types have four."""
_TURNED = range(5, 9)
"""EXIF orientations that swap width and height."""
_PREFIX = b"Exif\0\0"
"""Prefix of EXIF data in a JPEG, and in some files of other formats."""
_HAS_EXIF = 8
"""The flag of a WebP that has EXIF data."""


def picture_size(path: str) -> Size | None:
    """Width and height in pixels; None if the file is not a picture of a known format."""
    try:
        descriptor = os.open(expanded(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            return _size(file) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError, struct.error):
        return None


def _size(file: BinaryIO) -> Size | None:
    head = file.read(30)
    if head.startswith(SIGNATURE):
        width, height = unpack(">II", head[16:24])
        exif = next((file.tell() for kind, _ in islice(chunks(file), _SEGMENTS) if kind == b"eXIf"), None)
        return _upright(file, exif, (width, height))
    if head.startswith(b"GIF8"):
        width, height = unpack("<HH", head[6:10])
    elif head.startswith(b"BM"):
        width, height = unpack("<ii", head[18:26])
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp_size(file, head)
    elif head.startswith(b"\xff\xd8"):
        return _jpeg_size(file)
    elif head[4:12] in {b"ftypavif", b"ftypavis"}:
        return upright_size(head + file.read(_BOXES))
    elif head.startswith((b"II*\0", b"MM\0*")):
        tags = _tags(file, 0)
        return _upright(file, 0, (tags[_WIDTH], tags[_HEIGHT])) if {_WIDTH, _HEIGHT} <= tags.keys() else None
    else:
        return None
    return (width, abs(height)) if width >= 0 else None  # a top-down BMP has a negative height


def _webp_size(file: BinaryIO, head: bytes) -> Size | None:
    match head[12:16]:
        case b"VP8X":
            size = 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
            return _upright(file, webp_chunk(file, b"EXIF") if head[20] & _HAS_EXIF else None, size)
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = unpack("<HH", head[26:30])
            return width & 0x3FFF, height & 0x3FFF
    return None


def webp_chunk(file: BinaryIO, wanted: bytes) -> int | None:
    """The offset of the data of the chunk `wanted` in a WebP; None if there is none."""
    file.seek(12)
    for _ in range(_SEGMENTS):
        head = file.read(8)
        if len(head) < 8:
            return None
        kind, length = unpack("<4sI", head)
        if kind == wanted:
            return file.tell()
        file.seek(length + length % 2, os.SEEK_CUR)
    return None


def _jpeg_size(file: BinaryIO) -> Size | None:
    exif = None
    file.seek(2)
    for _ in range(_SEGMENTS):
        mark, kind, length = unpack(">BBH", file.read(4))
        if mark != 0xFF:
            return None
        start = file.tell()
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = unpack(">xHH", file.read(5))
            return _upright(file, exif, (width, height))
        if kind == 0xE1 and file.read(len(_PREFIX)) == _PREFIX:
            exif = start
        file.seek(start + length - 2)
    return None


def _upright(file: BinaryIO, exif: int | None, size: Size) -> Size:
    """`size` after rotation by the EXIF data at `exif` in `file`; invalid data is ignored."""
    if exif is None:
        return size
    file.seek(exif)
    start = exif + len(_PREFIX) if file.read(len(_PREFIX)) == _PREFIX else exif
    try:
        turned = _tags(file, start).get(ORIENTATION) in _TURNED
    except (OSError, struct.error):
        return size
    return size[::-1] if turned else size


def _tags(file: BinaryIO, start: int) -> dict[int, int]:
    """The tags of the first directory of the TIFF data (also used by EXIF) at `start` in `file`."""
    file.seek(start)
    order = "<" if file.read(4).startswith(b"II") else ">"
    file.seek(start + unpack(f"{order}I", file.read(4))[0])
    (count,) = unpack(f"{order}H", file.read(2))
    entries = file.read(12 * count)
    tags = {}
    for at in range(0, len(entries) - 11, 12):
        tag, kind = unpack(f"{order}HH", entries[at : at + 4])
        form = "H2x" if kind == _SHORT else "I"
        (tags[tag],) = unpack(f"{order}{form}", entries[at + 8 : at + 12])
    return tags

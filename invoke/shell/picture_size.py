"""The size of a picture from the first bytes of its file, upright.

For the toolbar and completion, where Pillow's import alone (40 ms) would be felt. What is not understood has no size;
whether a picture can be used is for `pictures` to say.
"""

import os
import stat
import struct
from struct import unpack
from typing import BinaryIO

Size = tuple[int, int]

_SEGMENTS = 100
"""How many parts of a JPEG are looked at."""
_TURNED = range(5, 9)
"""EXIF orientations that lay the picture on its side."""


def picture_size(path: str) -> Size | None:
    """Width and height in pixels; None where the file is no picture of a kind that is known here."""
    try:
        descriptor = os.open(os.path.expanduser(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # noqa: PTH111
        with os.fdopen(descriptor, "rb") as file:
            return _size(file) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError, struct.error):
        return None


def _size(file: BinaryIO) -> Size | None:
    head = file.read(30)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = unpack(">II", head[16:24])
    elif head.startswith(b"GIF8"):
        width, height = unpack("<HH", head[6:10])
    elif head.startswith(b"BM"):
        width, height = unpack("<ii", head[18:26])
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp_size(head)
    elif head.startswith(b"\xff\xd8"):
        return _jpeg_size(file)
    else:
        return None
    return width, abs(height)  # a BMP from the top has a negative height


def _webp_size(head: bytes) -> Size | None:
    match head[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = unpack("<HH", head[26:30])
            return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg_size(file: BinaryIO) -> Size | None:
    turned = False
    file.seek(2)
    for _ in range(_SEGMENTS):
        mark, kind, length = unpack(">BBH", file.read(4))
        if mark != 0xFF:
            return None
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = unpack(">xHH", file.read(5))
            return (height, width) if turned else (width, height)
        after = file.tell() + length - 2
        if kind == 0xE1:
            turned = _orientation(file.read(length - 2)) in _TURNED
        file.seek(after)
    return None


def _orientation(exif: bytes) -> int:
    """The tag 0x0112 of the first directory; 1 where there is none."""
    if not exif.startswith(b"Exif\0\0"):
        return 1
    tiff = exif[6:]
    order = "<" if tiff.startswith(b"II") else ">"
    start = unpack(f"{order}I", tiff[4:8])[0]
    count = unpack(f"{order}H", tiff[start : start + 2])[0]
    for entry in range(start + 2, min(start + 2 + 12 * count, len(tiff)), 12):
        tag, value = unpack(f"{order}H6xH", tiff[entry : entry + 10])
        if tag == 0x0112:
            return int(value)
    return 1

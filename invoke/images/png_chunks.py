"""Reads what Pillow does not provide from PNG chunks: texts, cICP, and whether the file is complete."""

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type → samples per pixel."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row and their strides in each pass of an interlaced picture (PNG 3, section 8)."""
_DEPTH_AT = 24
_SHORT = 1024
"""Maximum bytes read of a chunk without pixels."""
_STEP = 2**20
MOST_CHUNKS = 200_000
"""Of a file: one of 1.6 GB in pieces of 8 kB, which is how libpng writes."""


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Type and length of each chunk, up to the first truncated one; `file` is positioned at its content."""
    at = len(SIGNATURE)
    while len(head := _read_at(file, at, 8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        yield kind, length
        at += length + 12


def has_too_many_chunks(file: BinaryIO) -> bool:
    """Whether a PNG has more than `MOST_CHUNKS`: every reader takes microseconds, and some keep each in memory."""
    file.seek(0)
    is_png = file.read(len(SIGNATURE)) == SIGNATURE
    return is_png and next(islice(chunks(file), MOST_CHUNKS, None), None) is not None


def intact_content(file: BinaryIO, kind: bytes, length: int) -> bytes | None:
    """The content of the chunk in which `file` stands; None unless it has its checksum."""
    content = file.read(length)
    return content if file.read(4) == struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))) else None


def is_whole(file: BinaryIO) -> bool:
    """Whether every chunk has its checksum, down to the last one (IEND)."""
    for kind, length in chunks(file):
        if intact_content(file, kind, length) is None:
            return False
        if kind == b"IEND":
            return True
    return False


def chunk(file: BinaryIO, wanted: bytes) -> bytes | None:
    """The content (at most `_SHORT`) of the first chunk of type `wanted` before the pixels; None if there is none."""
    for kind, length in chunks(file):
        if kind == wanted:
            return file.read(min(length, _SHORT))
        if kind == b"IDAT":
            break
    return None


def bit_depth(file: BinaryIO) -> int:
    """Bits per sample."""
    return int.from_bytes(_read_at(file, _DEPTH_AT, 1), "big")


def lacks_palette(file: BinaryIO) -> bool:
    """Whether an indexed PNG has no palette; decoders would make all pixels black."""
    return _read_at(file, _DEPTH_AT + 1, 1) == b"\3" and not chunk(file, b"PLTE")


def missing_share(file: BinaryIO) -> float:
    """The fraction of the pixel data that is missing, 0..1, from its inflated length.

    Decoders accept a stream that ends properly but early, and leave the rest black. Chunks with a wrong checksum are
    not counted, since trailing zeros would inflate to something.
    """
    missing = expected = _expected_length(file)
    inflate = zlib.decompressobj()
    for kind, length in chunks(file):
        if kind != b"IDAT":
            continue
        sound, checksum, left = missing, zlib.crc32(kind), length
        while left > 0 and (waiting := file.read(min(left, _STEP))):
            left, checksum = left - len(waiting), zlib.crc32(waiting, checksum)
            while waiting and missing > 0 and not inflate.eof:
                try:
                    missing -= len(inflate.decompress(waiting, _STEP))
                except zlib.error:
                    return max(missing, 0) / expected
                waiting = inflate.unconsumed_tail
        if file.read(4) != struct.pack(">I", checksum):
            return max(sound, 0) / expected
        if missing <= 0:
            return 0.0
    while missing > 0 and (rest := inflate.decompress(inflate.unconsumed_tail, _STEP)):
        missing -= len(rest)
    return max(missing, 0) / expected


def _read_at(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


def _expected_length(file: BinaryIO) -> int:
    """The inflated length of the pixels in bytes."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">II5B", _read_at(file, 16, 13))
    bits = depth * _CHANNELS.get(colour, 1)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return max(total, 1)

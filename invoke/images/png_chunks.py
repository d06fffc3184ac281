"""PNG's chunks, as far as Pillow does not give them: colour coding (cICP), and whether the pixels are complete."""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type → samples per pixel."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, and their distances in each pass of an interlaced picture (PNG 3, section 8)."""
_STEP = 2**20


def chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of each chunk, up to the first that is cut off. Checksums are left to the decoder."""
    view, at = memoryview(data), len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", view[at : at + 8])
        yield kind, view[at + 8 : at + 8 + length]
        at += length + 12


def chunk(data: bytes, wanted: bytes) -> bytes | None:
    """The content of the first chunk of a type before the pixels; None where there is none."""
    for kind, content in chunks(data):
        if kind == wanted:
            return bytes(content)
        if kind == b"IDAT":
            break
    return None


def lacks_palette(data: bytes) -> bool:
    """Whether the pixels of a PNG are numbers of colours that it does not have; decoders take black for each."""
    return data[25:26] == b"\3" and not chunk(data, b"PLTE")


def missing_share(data: bytes) -> float:
    """The share of the pixel data that a PNG lacks, 0..1: its inflated length is counted, nothing is kept.

    Decoders take a stream that ends properly but early for a whole one, and leave the rest black.
    """
    expected = _expected_length(data)
    missing = expected
    inflate = zlib.decompressobj()
    for kind, content in chunks(data):
        if kind != b"IDAT":
            continue
        waiting = bytes(content)
        while waiting and missing > 0 and not inflate.eof:
            try:
                missing -= len(inflate.decompress(waiting, _STEP))
            except zlib.error:
                return max(missing, 0) / expected
            waiting = inflate.unconsumed_tail
        if missing <= 0:
            return 0.0
    while missing > 0 and (rest := inflate.decompress(inflate.unconsumed_tail, _STEP)):
        missing -= len(rest)
    return max(missing, 0) / expected


def _expected_length(data: bytes) -> int:
    """Bytes that the pixels of a PNG inflate to."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">II5B", data[16:29])
    bits = depth * _CHANNELS.get(colour, 1)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return max(total, 1)

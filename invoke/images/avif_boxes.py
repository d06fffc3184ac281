"""The colour codes of an AVIF (nclx), which Pillow does not hand on."""

from collections.abc import Iterator

_SEARCHED = {b"meta": 4, b"iprp": 0, b"ipco": 0}
"""Boxes on the way to the picture's properties → bytes before what they hold (ISO/IEC 14496-12 and 23008-12)."""
_DEEPEST = 4


def nclx(data: bytes) -> bytes | None:
    """Primaries, transfer, matrix and range (a byte each) of the first `colr` box of type nclx; None without one."""
    for content in _find_colr(memoryview(data), _DEEPEST):
        if bytes(content[:4]) == b"nclx" and len(content) >= 11:
            numbers = [int.from_bytes(content[at : at + 2], "big") for at in (4, 6, 8)]
            return bytes([*(min(number, 255) for number in numbers), content[10] >> 7])
    return None


def _find_colr(data: memoryview, depth: int) -> Iterator[memoryview]:
    at = 0
    while depth and at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8])
        end = at + length if length >= 8 else len(data)
        content = data[at + 8 : end]
        if kind == b"colr":
            yield content
        elif kind in _SEARCHED:
            yield from _find_colr(content[_SEARCHED[kind] :], depth - 1)
        at = end

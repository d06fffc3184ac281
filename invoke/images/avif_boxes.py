"""Reads what Pillow does not provide from AVIF boxes: colour codes (nclx), truncation, and the size without Pillow."""

from collections.abc import Iterator

_SEARCHED = {b"meta": 4, b"iprp": 0, b"ipco": 0}
"""Boxes that contain the picture's properties → bytes before their content (ISO/IEC 14496-12 and 23008-12)."""
_DEEPEST = 4
_ZEROS = 64
"""So many zero bytes cannot be a coincidence."""


def nclx(data: bytes) -> bytes | None:
    """Primaries, transfer, matrix and range (a byte each) from the first `colr` box of type nclx; None without one."""
    for kind, content in _properties(memoryview(data), _DEEPEST):
        if kind == b"colr" and bytes(content[:4]) == b"nclx" and len(content) >= 11:
            numbers = [int.from_bytes(content[at : at + 2], "big") for at in (4, 6, 8)]
            return bytes([*(min(number, 255) for number in numbers), content[10] >> 7])
    return None


def ends_early(data: bytes) -> bool:
    """Whether the pixel data ends in zeros: it is truncated, since an arithmetic coder does not write them."""
    *_, (kind, content) = (b"", memoryview(b"")), *_properties(memoryview(data), 1)
    return kind == b"mdat" and bytes(content[-_ZEROS:]) == bytes(_ZEROS)


def upright_size(head: bytes) -> tuple[int, int] | None:
    """Upright width and height from the first bytes of a file; None if they cannot be determined.

    A picture in tiles has its own size in addition to theirs; the largest one counts.
    """
    sizes, quarters = [(0, 0)], 0
    for kind, content in _properties(memoryview(head), _DEEPEST):
        if kind == b"ispe" and len(content) >= 12:
            sizes.append((int.from_bytes(content[4:8], "big"), int.from_bytes(content[8:12], "big")))
        elif kind == b"irot" and content:
            quarters = content[0] & 3
    width, height = max(sizes)
    if not width:
        return None
    return (height, width) if quarters % 2 else (width, height)


def _properties(data: memoryview, depth: int) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of all leaf boxes."""
    at = 0
    while depth and at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8])
        end = at + length if length >= 8 else len(data)
        content = data[at + 8 : end]
        if kind in _SEARCHED:
            yield from _properties(content[_SEARCHED[kind] :], depth - 1)
        else:
            yield kind, content
        at = end

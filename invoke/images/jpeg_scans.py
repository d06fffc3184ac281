"""Detects truncated JPEGs: decoders silently fill in scans that end early with flat colour."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL import Image

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A marker that ends a scan: neither a stuffed byte nor a restart."""
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_HUFFMAN = {0xC0: False, 0xC1: False, 0xC2: True}
"""Start of frame → whether it is progressive. Arithmetic coding, which may drop final zeros, is not checked."""
_DHT, _SOS, _DRI, _EOI = 0xC4, 0xDA, 0xDD, 0xD9
_END = b"\xff\xd9"
_COMPRESSION, _TABLES, _PLACES = 259, 347, ((273, 279), (324, 325))
"""Tags of a TIFF: compression, JPEG tables, and offsets and lengths of strips and tiles."""
_JPEG_IN_TIFF = 7
_EXTRA = bytes(100 * pow(3, power, 257) % 254 + 1 for power in range(256))
"""Coded data that differ from missing data, and contain no marker."""


@dataclass
class _Scans:
    """The scans of a JPEG, from its headers (ITU-T T.81, B.2)."""

    ends: list[int] = field(default_factory=list)
    """The end of each scan's coded data."""
    progressive: bool = False
    size: tuple[int, int] = (0, 0)
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Component → horizontal and vertical sampling factor."""
    interval: int = 0
    """Units between two restarts; 0: no restarts."""
    lacks_restarts: bool = False
    has_end: bool = False
    """Whether an end marker follows the last scan. Trailing zeros would be valid coded data, which may even fill it."""
    missing_bits: dict[tuple[int, int], int] = field(default_factory=dict)
    """Component and coefficient (0..63) → how many of its lowest bits are still missing."""

    @property
    def is_complete(self) -> bool:
        """Whether all scans that the frame needs, and the end marker, are present."""
        coefficients = range(64) if self.progressive else range(1)
        return self.has_end and not any(
            self.missing_bits.get((part, at), 1) for part in self.sampling for at in coefficients
        )

    def units(self, components: list[int]) -> int:
        """Coded units (MCU) of a scan (T.81, A.2)."""
        across, down = self.sampling[components[0]] if len(components) == 1 else (1, 1)
        columns = -(-self.size[0] * across // (8 * max(factor for factor, _ in self.sampling.values())))
        rows = -(-self.size[1] * down // (8 * max(factor for _, factor in self.sampling.values())))
        return columns * rows


def ends_early(data: bytes) -> bool:
    """Whether the JPEG `data`, which can be decoded, lacks scans or the end of one.

    A truncated scan cannot be detected by its length. The picture is therefore decoded again, at half its size, with
    other data appended to the scans: if this makes a difference, data was missing.
    """
    try:
        scans = _read_scans(data)
    except (struct.error, IndexError, KeyError, ValueError):  # unusual headers, left to the decoder
        return False
    if scans is None:
        return False
    return not scans.is_complete or scans.lacks_restarts or _digest(data) != _digest(_with_extra(data, scans.ends))


def jpeg_streams(image: Image.Image, file: BinaryIO) -> Iterator[bytes]:
    """The JPEG streams in `file`, from which `image` was opened: the file, or strips or tiles of a TIFF; often none."""
    if image.format in {"JPEG", "MPO"}:
        file.seek(0)
        yield file.read()
    tags = getattr(image, "tag_v2", {})
    if tags.get(_COMPRESSION) != _JPEG_IN_TIFF:
        return
    tables, most = tags.get(_TABLES, _END), file.seek(0, os.SEEK_END)
    for starts, lengths in _PLACES:
        for start, length in zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False):
            file.seek(start + 2)
            # strips omit the common tables, and possibly the end marker
            yield tables[: -len(_END)] + file.read(min(max(length - 2, 0), most)).removesuffix(_END) + _END


def _read_scans(data: bytes) -> _Scans | None:
    """Read the scans; None if the coding is not supported by this check."""
    scans = _Scans()
    for kind, start, end in _segments(data):
        scans.has_end = kind == _EOI
        content = data[start:end]
        if kind in _HUFFMAN:
            _, height, width, count = struct.unpack(">BHHB", content[:6])
            scans.progressive, scans.size = _HUFFMAN[kind], (width, height)
            parts = (content[at : at + 3] for at in range(6, 6 + 3 * count, 3))
            scans.sampling = {part[0]: (part[1] >> 4, part[1] & 15) for part in parts}
        elif 0xC0 <= kind <= 0xCF and kind not in {_DHT, 0xC8, 0xCC}:
            return None
        elif kind == _DRI:
            (scans.interval,) = struct.unpack(">H", content)
        elif kind == _SOS:
            _read_scan(scans, data, content, end)
    return scans if scans.sampling and min(scans.size) > 0 else None


def _read_scan(scans: _Scans, data: bytes, header: bytes, start: int) -> None:
    components = [header[1 + 2 * number] for number in range(header[0])]
    first, last, bits = header[-3:]
    for part in components:
        for at in range(first, last + 1 if scans.progressive else 1):
            scans.missing_bits[part, at] = bits & 15 if scans.progressive else 0
    found = _MARKER.search(data, start)
    end = found.start() if found else len(data)
    scans.ends.append(end)
    if scans.interval:
        restarts = sum(1 for _ in _RESTART.finditer(data, start, end))
        scans.lacks_restarts |= restarts < -(-scans.units(components) // scans.interval) - 1


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each marker up to the end of the picture, with the start and end of its content."""
    at = 2
    while found := _MARKER.search(data, at):
        kind, at = data[found.end() - 1], found.end()
        if kind == _EOI:
            yield kind, at, at
            return
        if kind in {0x01, 0xD8}:  # these have no content
            continue
        (length,) = struct.unpack(">H", data[at : at + 2])
        yield kind, at + 2, at + length
        at += length


def _with_extra(data: bytes, ends: list[int]) -> bytes:
    pieces = [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]
    return _EXTRA.join(pieces)


def _digest(data: bytes) -> bytes:
    """The digest of the decoded picture at half its size."""
    from PIL import Image

    with Image.open(BytesIO(data), formats=("JPEG",)) as file:
        file.draft(file.mode, (file.width // 2, file.height // 2))
        file.load()
        digest = blake2b()
        for top in range(0, file.height, 64):
            digest.update(file.crop((0, top, file.width, min(top + 64, file.height))).tobytes())
        return digest.digest()

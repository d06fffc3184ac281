"""Reads the header of a `.safetensors` file: names, dtypes and shapes of its tensors, without the weights.

It is checked against all rules of the format, so that the libraries that read the weights later never see an invalid
file.
"""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.files import open_to_read
from invoke.models.foreign_content import HEAD, foreign_content

LARGEST_HEADER = 100_000_000
"""The format's limit, in bytes."""
METADATA = "__metadata__"
_BITS: Mapping[str, int] = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Dtype → bits per element."""

MOST_VALUES = 1_000_000
"""Commas and brackets in a header: four for a tensor. Every value costs a hundred times its bytes in memory."""
MOST_DIMENSIONS = 64
"""Of a tensor, in numpy and torch."""

Header = Mapping[str, Mapping[str, Any]]
"""Tensor name → `dtype`, `shape`, `data_offsets`."""


class _InvalidError(Exception):
    """The file violates a rule of the format."""


def read_header(path: Path) -> Header:
    """Read the header of a `.safetensors` file, without metadata.

    Raises ModelError if the file is damaged or incomplete.
    """
    return {name: row for name, row in _read(path).items() if name != METADATA}


def read_metadata(path: Path) -> Mapping[str, str]:
    """Read the metadata in the header: name → text. Raises ModelError like `read_header`."""
    found: Mapping[str, str] = _read(path).get(METADATA, {})
    return found


def _read(path: Path) -> Mapping[str, Any]:
    try:
        size = path.stat().st_size
        with open_to_read(path) as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length) if 0 < length <= min(size, LARGEST_HEADER) else b""
            file.seek(0)
            foreign = foreign_content(file.read(HEAD), "a safetensors file")
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    if foreign is not None:
        raise ModelError(f"{path}: this is {foreign[0]}, not a safetensors file", code="not_read", hint=foreign[1])
    if sum(map(text.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise _damaged(path, f"its header has more than {MOST_VALUES:,} values")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise _damaged(path, f"its {size:,} bytes are not a safetensors file") from None
    except _InvalidError as error:
        raise _damaged(path, str(error)) from error
    try:
        end = 8 + length + _check(header)
    except _InvalidError as error:
        raise _damaged(path, str(error)) from error
    if size != end:
        raise _damaged(path, f"it has {size:,} of {end:,} bytes")
    return header  # type: ignore[no-any-return]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _InvalidError("it names a tensor twice")
    return found


def _check(header: Any) -> int:
    """Check the header; returns the number of bytes of all tensors. Raises _InvalidError."""
    if not isinstance(header, dict):
        raise _InvalidError("its header is not a table of tensors")
    metadata = header.get(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _InvalidError("its metadata is not text")
    spans = sorted(_span(name, row) for name, row in header.items() if name != METADATA)
    if not spans:
        raise _InvalidError("it has no tensors")
    end = 0
    for begin, stop, name in spans:
        if begin != end:
            raise _InvalidError(f"{name} {'overlaps' if begin < end else 'leaves a gap after'} the previous tensor")
        end = stop
    return end


def _span(name: str, row: Any) -> tuple[int, int, str]:
    """The start and end of one tensor's bytes, and its name. Raises _InvalidError."""
    if not isinstance(row, dict) or not row.keys() >= {"dtype", "shape", "data_offsets"}:
        raise _InvalidError(f"{name} lacks a dtype, shape or offsets")
    dtype, shape, offsets = row["dtype"], row["shape"], row["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _InvalidError(f"{name} has the unknown dtype {str(dtype)[:20]}")
    if not _are_sizes(shape) or len(shape) > MOST_DIMENSIONS:
        raise _InvalidError(f"{name} has an invalid shape")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _InvalidError(f"{name} has invalid offsets")
    if (offsets[1] - offsets[0]) * 8 != prod(shape) * _BITS[dtype]:
        raise _InvalidError(f"{name} has {offsets[1] - offsets[0]:,} bytes, which does not match its shape")
    return offsets[0], offsets[1], name


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value)


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: this file is damaged or only partly downloaded: {what}", hint="download it again")

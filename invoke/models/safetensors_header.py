"""The head of a `.safetensors` file: names and shapes of its tensors. The weights stay where they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invoke.errors import ModelError

LARGEST_HEADER = 100_000_000

Header = Mapping[str, Mapping[str, Any]]
"""Tensor name → `dtype`, `shape`, `data_offsets`."""


def read_header(path: Path) -> Header:
    """The names and shapes of the tensors of a `.safetensors` file.

    Raises ModelError when the file is damaged or not wholly there.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: Any = json.loads(file.read(length)) if 0 < length <= min(size, LARGEST_HEADER) else None
        header.pop("__metadata__", None)
        end = 8 + length + max(tensor["data_offsets"][1] for tensor in header.values())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, AttributeError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise _damaged(path, f"{path.stat().st_size:,} bytes that are no safetensors file") from error
    if size != end:
        raise _damaged(path, f"{size:,} of {end:,} bytes are there")
    found: Header = header
    return found


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: this file is damaged or only partly downloaded: {what}", hint="fetch it again")

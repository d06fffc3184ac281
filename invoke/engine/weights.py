"""Weight files: whether they are whole, what they hold, and their SHA-256. Nothing is loaded here."""

import json
import threading
from collections.abc import Mapping, Sequence
from hashlib import file_digest, sha256
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


class BackgroundHash:
    """The SHA-256 of weight files, computed while other things happen (1.7 GB take over a second)."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self._digest = ""
        self._thread = threading.Thread(target=self._run, args=(folder, tuple(files)), daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Waits until it is known; "" when a file has gone meanwhile."""
        self._thread.join()
        return self._digest

    def _run(self, folder: Path, files: Sequence[Path]) -> None:
        try:
            self._digest = hash_files(folder, files)
        except OSError:
            self._digest = ""


def hash_files(folder: Path, files: Sequence[Path]) -> str:
    """The SHA-256 of one file; of several, that of the lines `SHA-256  name` in the order of their names."""
    if len(files) == 1:
        return _hash(files[0])
    lines = (f"{_hash(file)}  {file.relative_to(folder).as_posix()}\n" for file in sorted(files))
    return sha256("".join(lines).encode()).hexdigest()


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: this file is damaged or only partly downloaded: {what}", hint="fetch it again")

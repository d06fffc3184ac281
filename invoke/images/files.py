"""Reads picture files safely: only regular files of an acceptable size, without ever blocking."""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from invoke.errors import PictureError
from invoke.paths import expanded, is_there

PICTURES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff")
"""Extensions of picture files."""
LARGEST_FILE = 256 * 2**20
_NAMES_SEARCHED = 2000


def read_bytes(path: str | Path) -> bytes:
    """Read a regular file; anything else (a FIFO, a device, a folder) is rejected without blocking.

    Raises PictureError.
    """
    with opened(path) as file:
        return file.read(LARGEST_FILE + 1)


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file as a stream. Raises PictureError, also if it changes while it is read."""
    path = str(path)
    try:
        descriptor = os.open(expanded(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            _check_file(path, before)
            with _Reader(io.FileIO(descriptor, closefd=False)) as file:
                yield file
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise PictureError(f"{path}: it changed while it was read", code="picture_unreadable", hint="try again")


class _Reader(io.BufferedReader):
    """A file that cannot be mapped into memory: if a mapped file is truncated, the process crashes."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def hash_of(file: BinaryIO) -> str:
    """The SHA-256 of the whole file, as hex digits."""
    file.seek(0)
    found = sha256()
    while block := file.read(2**20):
        found.update(block)
    return found.hexdigest()


def stamp(path: str) -> tuple[int, ...]:
    """A value that changes when the file does. Raises PictureError."""
    try:
        found = os.stat(expanded(path))  # noqa: PTH116 - this runs once per line of a batch
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def too_large(path: str, why: str) -> PictureError:
    """The error for a file or picture beyond a limit."""
    return PictureError(f"{path}: this picture is too large: {why}", code="picture_too_large", hint="shrink it first")


def _check_file(path: str, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise PictureError(f"{path}: this is not a regular file", code="picture_unreadable")
    if found.st_size > LARGEST_FILE:
        raise too_large(path, f"{found.st_size >> 20} MB, but at most {LARGEST_FILE >> 20} are allowed")


def _unreadable(path: str, error: OSError | ValueError) -> PictureError:
    code = "picture_unreadable"
    if not path.strip():
        return PictureError("no picture is named", code="picture_missing")
    match error:
        case FileNotFoundError():
            return PictureError(f"{path}: there is no such picture", code="picture_missing", hint=_nearest(path))
        case IsADirectoryError():
            return PictureError(f"{path}: this is a folder, not a picture", code=code)
        case PermissionError():
            return PictureError(f"{path}: permission denied", code=code, hint="check the file's permissions")
        case OSError():
            return PictureError(f"{path}: cannot be read: {error.strerror or error}", code=code)
        case _:
            return PictureError(f"{path!r}: this is not a valid file name", code=code)


def _nearest(path: str) -> str:
    wanted = expanded(path)
    slashed = path.replace("\\", "/")
    if slashed != path and is_there(expanded(slashed)):
        return f"did you mean '{slashed}'?"
    try:
        with os.scandir(wanted.parent) as entries:
            names = [entry.name for entry in islice(entries, _NAMES_SEARCHED)]
    except OSError:
        return f"there is no folder {wanted.parent}"
    same = [name for name in names if name.casefold() == wanted.name.casefold()]
    near = same or get_close_matches(wanted.name, names, 1)
    return f"did you mean '{Path(path).parent / near[0]}'?" if near else ""

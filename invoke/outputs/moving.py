"""Moves a picture within its output folder, and updates logs and ledger."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from invoke import files
from invoke.errors import OutputError
from invoke.outputs import filenames, ledger, logs
from invoke.outputs.writer import sentences
from invoke.text import clean

KEPT, TRASH = "kept", ".trash"


def move(picture: Path, into: str) -> Path:
    """Move `picture` into the folder `into` beside it, and update logs and ledger; returns its new path.

    Raises OutputError; the picture has then not been moved.
    """
    folder = picture.parent
    return _move(picture, folder / into, folder)


def restore(picture: Path) -> Path:
    """Move a picture back from such a folder; returns its new path. Raises OutputError."""
    folder = picture.parent.parent
    return _move(picture, folder, folder)


def newest(folder: Path, into: str) -> Path | None:
    """The file that was last moved into the folder `into`; None if it is empty."""
    place = folder / into
    files = [file for file in place.iterdir() if file.is_file()] if place.is_dir() else []
    return max(files, key=lambda file: (file.stat().st_ctime_ns, file.name), default=None)


def _move(picture: Path, place: Path, folder: Path) -> Path:
    with sentences(place):
        files.make_folder(place)
        target = _free(picture, place)
        try:
            picture.rename(target)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            raise OutputError(f"{picture}: this picture no longer exists", code="picture_missing") from None
    try:
        _rename_in_logs(folder, picture, target)
    except OutputError:
        with suppress(OSError, OutputError):
            target.rename(picture)
            _rename_in_logs(folder, target, picture)  # down to the one that cannot be written
        raise
    return target


def _rename_in_logs(folder: Path, before: Path, after: Path) -> None:
    """Update logs and ledger. Raises OutputError."""
    old, new = (path.relative_to(folder).as_posix() for path in (before, after))
    _rewrite(folder / logs.TEXT, lambda row: _moved_in_text(row, str(before), str(after)))
    _rewrite(folder / logs.MARKDOWN, lambda row: row.replace(f"]({quote(old)})", f"]({quote(new)})"))
    _rewrite(folder / ledger.NAME, lambda row: _moved_in_ledger(row, old, new))


def _free(picture: Path, place: Path) -> Path:
    names = (place / f"{name}{picture.suffix}" for name in filenames.alternatives(picture.stem))
    return next(path for path in names if not os.path.lexists(path))


def _moved_in_text(row: str, old: str, new: str) -> str:
    return f"{clean(new)}{row.removeprefix(clean(old))}" if row.startswith(f"{clean(old)}: ") else row


def _moved_in_ledger(row: str, old: str, new: str) -> str:
    try:
        entry = json.loads(row)
    except (ValueError, RecursionError):
        return row
    if not isinstance(entry, dict) or entry.get("file") != old:
        return row
    return json.dumps({**entry, "file": new}) + "\n"


def _rewrite(file: Path, change: Callable[[str], str]) -> None:
    """Apply `change` to every row of `file`, if it exists. Raises OutputError.

    A row that another process appends between the last check and the rename is lost, which is very unlikely.
    """
    with sentences(file.parent):
        while file.is_file():
            data = file.read_bytes()
            rows = re.split(r"(?<=\n)", data.decode("utf-8", "surrogateescape"))
            changed = "".join(map(change, rows)).encode("utf-8", "surrogateescape")
            if changed == data:
                return
            if file.stat().st_size == len(data):
                files.replace(file, changed)
                return

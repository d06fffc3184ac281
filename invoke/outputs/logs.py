"""`invoke_log.txt` and `invoke_log.md`: logs of pictures and their lines. Several processes may append at once."""

import errno
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from invoke import files
from invoke.text import UNTYPABLE, clean

TEXT = "invoke_log.txt"
MARKDOWN = "invoke_log.md"

log = logging.getLogger(__name__)


def append(folder: Path, path: str, line: str) -> None:
    """Log in `folder` that `line`, verbatim, made the file `path`.

    If a log cannot be written, this does not fail, because the picture exists already. Rows are kept and retried with
    the next one.
    """
    for name, row in _ROWS.items():
        _append(folder / name, row(path, line))


def complete(folder: Path, paths: Iterable[str], line_of: Callable[[str], str]) -> None:
    """Log each of `paths` that has no row yet, because the process that saved it was killed before writing one.

    Raises OSError if an existing log cannot be read.
    """
    shown = {in_a_row(Path(path).name): path for path in paths}
    for name, row in _ROWS.items():
        files.drop_torn_row(folder / name)
        logged = {found for found in names(folder, name) if found in shown}
        for path in (path for found, path in shown.items() if found not in logged):
            if line := line_of(path):
                _append(folder / name, row(path, line))


def names(folder: Path, log_name: str) -> Iterator[str]:
    """The file names in the log `log_name` of `folder`, in escaped form.

    Yields nothing if there is no such log, or something else in its place. Raises OSError.
    """
    starts, ends = _AROUND[log_name]
    try:
        descriptor = files.open_file(folder / log_name, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NO_LOG:
            return
        raise
    head = ""  # the first line of a multi-line row
    with os.fdopen(descriptor, "rb") as rows:
        for row in rows:
            text = row.decode("utf-8", "replace")
            if head and not text.strip():
                yield head
            head = ""
            if text.startswith(starts) and ends in text:
                name = os.path.basename(text[len(starts) :].partition(ends)[0])  # noqa: PTH119
                if log_name == MARKDOWN:
                    head = name
                else:
                    yield name


def flush(folder: Path) -> bool:
    """Sync the logs of `folder` to disk; returns False if rows could not be written yet."""
    for file in [file for file in _waiting if file.parent == folder]:
        _append(file, "")
    files.flush([folder / name for name in _ROWS])
    return not any(file.parent == folder for file in _waiting)


def _text_row(path: str, line: str) -> str:
    return f"{in_a_row(path)}: {in_a_row(line)}\n"


def _markdown_row(path: str, line: str) -> str:
    name = Path(path).name
    return f"## {in_a_row(name)}\n\n![]({quote(name)})\n\n    {in_a_row(line)}\n\n"


_ROWS: Mapping[str, Callable[[str, str], str]] = {TEXT: _text_row, MARKDOWN: _markdown_row}
"""Name of a log → function that renders a row from a path and its line."""
_AROUND = {TEXT: ("", ": "), MARKDOWN: ("## ", "\n")}
"""Name of a log → text before and after a path or name in a row."""


def in_a_row(text: str) -> str:
    """`text`, escaped if it contains line breaks or control characters."""
    return clean(text) if UNTYPABLE.search(text) else text


_NO_LOG = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.EISDIR}
_waiting: dict[Path, list[bytes]] = {}
"""Log → rows that could not be written yet."""


def _append(file: Path, row: str) -> None:
    rows = [*_waiting.pop(file, []), row.encode("utf-8", "backslashreplace")]
    try:
        if rows := [part for part in rows if part]:
            files.append(file, b"".join(rows))
    except OSError as error:
        log.warning("%s cannot be written: %s", file, error)
        if error.errno not in _NO_LOG:
            _waiting[file] = rows

"""`invoke_log.txt` and `invoke_log.md`: what was made, line by line. Several processes may append at once."""

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
    """Note in `folder` that `line`, verbatim, made the file `path`.

    The picture exists by now: a log that cannot be written is no failure.
    """
    for name, row in _ROWS.items():
        _append(folder / name, row(path, line))


def complete(folder: Path, paths: Iterable[str], line_of: Callable[[str], str]) -> None:
    """The same, for each of `paths` of which a log has no row: whoever saved it was killed before writing one."""
    shown = {_in_a_row(Path(path).name): path for path in paths}
    for name, row in _ROWS.items():
        there = {found for found in names(folder, name) if found in shown}
        for path in (path for found, path in shown.items() if found not in there):
            if line := line_of(path):
                _append(folder / name, row(path, line))


def names(folder: Path, log_name: str) -> Iterator[str]:
    """The names of the files of which the log `log_name` of `folder` has rows, as they are shown."""
    starts, ends = _AROUND[log_name]
    try:
        with os.fdopen(files.open_file(folder / log_name, os.O_RDONLY), "rb") as rows:
            for row in rows:
                text = row.decode("utf-8", "replace")
                if text.startswith(starts) and ends in text:
                    yield os.path.basename(text[len(starts) :].partition(ends)[0])  # noqa: PTH119
    except OSError:
        return


def flush(folder: Path) -> None:
    """Have what the logs of `folder` say survive a power cut."""
    files.flush([folder / name for name in _ROWS])


def _text_row(path: str, line: str) -> str:
    return f"{_in_a_row(path)}: {_in_a_row(line)}\n"


def _markdown_row(path: str, line: str) -> str:
    name = Path(path).name
    return f"## {_in_a_row(name)}\n\n![]({quote(name)})\n\n    {_in_a_row(line)}\n\n"


_ROWS: Mapping[str, Callable[[str, str], str]] = {TEXT: _text_row, MARKDOWN: _markdown_row}
"""Name of a log → the row of a file and the line that made it."""
_AROUND = {TEXT: ("", ": "), MARKDOWN: ("## ", "\n")}
"""Name of a log → what stands before and after a path or name in a row."""


def _in_a_row(text: str) -> str:
    """`text` as it is; escaped where a line break or a control character would break the row."""
    return clean(text) if UNTYPABLE.search(text) else text


def _append(file: Path, row: str) -> None:
    try:
        files.append(file, row.encode("utf-8", "backslashreplace"))
    except OSError as error:
        log.warning("%s cannot be written: %s", file, error)

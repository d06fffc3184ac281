"""`invoke_log.txt` and `invoke_log.md`: what was made, line by line. Several processes may append at once."""

import logging
import os
from pathlib import Path
from urllib.parse import quote

from invoke.text import clean

TEXT = "invoke_log.txt"
MARKDOWN = "invoke_log.md"

log = logging.getLogger(__name__)


def append(folder: Path, path: str, line: str) -> None:
    """Note in `folder` that `line` made the file `path`.

    The picture exists by now: a log that cannot be written is no failure.
    """
    name = Path(path).name
    shown = clean(line)
    rows = {
        TEXT: f"{clean(path)}: {shown}\n",
        MARKDOWN: f"## {clean(name)}\n\n![]({quote(name)})\n\n    {shown}\n\n",
    }
    for file, row in rows.items():
        try:
            _append(folder / file, row)
        except OSError as error:
            log.warning("%s cannot be written: %s", folder / file, error)


def _append(file: Path, row: str) -> None:
    """One write per row, so that rows of several writers stay whole."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, row.encode("utf-8", "backslashreplace"))
    finally:
        os.close(descriptor)

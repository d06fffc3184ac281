r"""The lines typed, from sitting to sitting.

One line of the file is one entry, in UTF-8; a newline inside an entry is written `\n` and a backslash `\\`.
"""

import os
import re
from pathlib import Path

from invoke.paths import open_private

LARGEST_READ = 4_000_000
"""Bytes: of a larger file only the end is read."""

_ESCAPED = re.compile(r"\\(.)")


class History:
    """Lines by number, counted from 1. Without `path` they are forgotten at the end.

    A file that cannot be read or written is left alone; `note` says why nothing is kept then.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.lines: list[str] = []
        self.note = ""
        self._path = path
        if path is None:
            return
        try:
            self.lines = _read(path)
        except UnicodeError:
            self._stop("it holds something else than lines; remove it to start afresh")
        except OSError as error:
            self._stop(error.strerror or str(error))

    def keep(self, line: str) -> int | None:
        """Keep `line` and return its number; a line that begins with a blank is not kept.

        The same line again is kept once.
        """
        if not line.strip() or line[0].isspace():
            return None
        if not self.lines or self.lines[-1] != line:
            self.lines.append(line)
            self._append(line)
        return len(self.lines)

    def find(self, text: str = "") -> list[tuple[int, str]]:
        """The lines that hold `text`, in whatever case, with their numbers."""
        wanted = text.casefold()
        return [(number, line) for number, line in enumerate(self.lines, 1) if wanted in line.casefold()]

    def clear(self) -> None:
        """Forget all lines, those of earlier sittings too. Raises OSError."""
        self.lines.clear()
        if self._path is not None:
            os.close(open_private(self._path, os.O_WRONLY | os.O_TRUNC))

    def _append(self, line: str) -> None:
        if self._path is None:
            return
        entry = line.replace("\\", "\\\\").replace("\n", "\\n") + "\n"
        try:
            descriptor = open_private(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, entry.encode("utf-8", "replace"))
            finally:
                os.close(descriptor)
        except OSError as error:
            self._stop(error.strerror or str(error))

    def _stop(self, why: str) -> None:
        self.note = f"the history is not kept: {self._path}: {why}"
        self._path = None


def _read(path: Path) -> list[str]:
    """Raises OSError, or UnicodeError where this is no text."""
    with os.fdopen(open_private(path, os.O_RDWR), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LARGEST_READ))
        data = file.read(LARGEST_READ)
    if size > LARGEST_READ:
        data = data.partition(b"\n")[2]
    if b"\0" in data:
        raise UnicodeError("NUL")
    entries = data.decode("utf-8").split("\n")
    return [_ESCAPED.sub(_letter, entry) for entry in entries if entry]


def _letter(escaped: re.Match[str]) -> str:
    return "\n" if escaped[1] == "n" else escaped[1]

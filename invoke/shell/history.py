r"""The history of typed lines, shared by all sessions and shells.

Each line of the file is an entry, in UTF-8, with newlines written as `\n` and backslashes as `\\`. The number of an
entry is its line number in the file, so it is the same in every shell and session.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from invoke.locks import locked
from invoke.paths import open_private

LARGEST_READ = 4_000_000
"""In bytes; of a larger file only the end is read, but line numbers are kept."""

_ESCAPED = re.compile(r"\\(.)")


class History:
    """Lines by number, from 1. Without `path` they are not saved.

    A file that cannot be read or written is left unchanged; `note` then says why nothing is saved.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.lines: list[str] = []
        """The lines read so far, oldest first."""
        self.first = 1
        """The number of the first one."""
        self.note = ""
        self._path = path
        self._size = 0
        """Bytes of the file read so far."""
        if path is None:
            return
        try:
            self._sync(self._read_end())
        except UnicodeError:
            self._stop("it is not a text file; remove it to start a new history")
        except OSError as error:
            self._stop(error.strerror or str(error))

    @property
    def last(self) -> int:
        """The number of the latest line; 0 if there is none."""
        return self.first + len(self.lines) - 1 if self.lines else 0

    def line(self, number: int) -> str | None:
        """The line with this number, from any shell; None if there is none."""
        self._look()
        return self.lines[number - self.first] if self.first <= number <= self.last else None

    def keep(self, line: str) -> int | None:
        """Keep `line` and return its number; a line that begins with a space is not kept."""
        if not line.strip() or line[0].isspace():
            return None
        if self._path is not None:
            self._append(line)
        if self._path is None:
            self.lines.append(line)
        return self.last

    def recalled(self) -> list[str]:
        """The lines for the arrow keys, oldest first, without consecutive duplicates."""
        return [line for index, line in enumerate(self.lines) if index == 0 or self.lines[index - 1] != line]

    def find(self, text: str = "") -> list[tuple[int, str]]:
        """The lines that contain `text` (case-insensitive), with their numbers."""
        self._look()
        wanted = text.casefold()
        return [(number, line) for number, line in enumerate(self.lines, self.first) if wanted in line.casefold()]

    def clear(self) -> None:
        """Delete all lines, including those of earlier sessions. Raises OSError."""
        self.lines.clear()
        self.first, self._size = 1, 0
        if self._path is not None:
            os.close(open_private(self._path, os.O_WRONLY | os.O_TRUNC))

    def _look(self) -> None:
        """Read what other shells have written."""
        if self._path is None:
            return
        try:
            self._sync(open_private(self._path, os.O_RDWR))
        except (OSError, UnicodeError) as error:
            self._stop(str(error))

    def _append(self, line: str) -> None:
        """Append a line, after reading what other shells have written."""
        assert self._path is not None
        entry = (line.replace("\\", "\\\\").replace("\n", "\\n") + "\n").encode("utf-8", "replace")
        try:
            descriptor = open_private(self._path, os.O_RDWR | os.O_APPEND)
            with locked(descriptor):
                self._sync(os.dup(descriptor))
                os.write(descriptor, entry)
                self._size += len(entry)
                self.lines.append(line)
        except (OSError, UnicodeError) as error:
            self._stop(getattr(error, "strerror", None) or str(error))

    def _read_end(self) -> int:
        """Open the file; of a large one, only the end will be read."""
        assert self._path is not None
        descriptor = open_private(self._path, os.O_RDWR)
        size = os.fstat(descriptor).st_size
        if size > LARGEST_READ:
            with os.fdopen(os.dup(descriptor), "rb") as file:
                self.first += sum(block.count(b"\n") for block in _blocks(file, size - LARGEST_READ))
                self.first += bool(file.readline())
                self._size = file.tell()
        return descriptor

    def _sync(self, descriptor: int) -> None:
        """Read everything after the bytes read so far, and close the descriptor. Raises OSError, UnicodeError."""
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_size < self._size:  # it has been cleared
                self.lines.clear()
                self.first, self._size = 1, 0
            file.seek(self._size)
            data = file.read()
        if b"\0" in data:
            raise UnicodeError("NUL")
        entries = data.decode("utf-8").split("\n")
        self.lines += [_ESCAPED.sub(_letter, entry) for entry in entries[: len(entries) - (not entries[-1])]]
        self._size += len(data)

    def _stop(self, why: str) -> None:
        self.note = f"the history is not saved: {self._path}: {why}"
        self._path = None


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (block := file.read(min(size, 2**20))):
        size -= len(block)
        yield block


def _letter(escaped: re.Match[str]) -> str:
    return "\n" if escaped[1] == "n" else escaped[1]

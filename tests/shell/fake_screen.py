"""A minimal terminal: text with the program's cursor movements in, the contents of the screen out."""

import io
import os
import re
from threading import Lock

MOVES = re.compile(r"\x1b\[(?P<count>\d*)(?P<what>[AJK])|\x1b\[[\d;]*m|\x1b\[\?25[hl]|\x1b_[^\x1b]*\x1b\\|\x1b\\")


class FakeScreen(io.StringIO):
    """Shows what is written to it. Lines that leave the screen are kept above it and cannot be reached."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        super().__init__()
        self.size = os.terminal_size((columns, lines))
        self.lines = [""]
        self.frames = 0
        """How many pictures were written."""
        self._row = self._column = 0
        self._one_by_one = Lock()

    def isatty(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def write(self, text: str) -> int:
        with self._one_by_one:
            return self._write(text)

    def _write(self, text: str) -> int:
        self.frames += "▀" in text
        place = 0
        while place < len(text):
            if text[place] == "\x1b":
                move = MOVES.match(text, place)
                assert move is not None, f"nobody understands {text[place : place + 20]!r}"
                self._move(move["what"], int(move["count"] or 0))
                place = move.end()
            else:
                self._letter(text[place])
                place += 1
        return len(text)

    @property
    def shown(self) -> list[str]:
        """All lines since the start, without those at the end that are empty."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n").split("\n")

    def _letter(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._row, self._column = self._row + 1, 0
            self.lines += [""] * (self._row + 1 - len(self.lines))
        else:
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + letter + line[self._column + 1 :]
            self._column += 1

    def _move(self, what: str | None, count: int) -> None:
        top = max(0, len(self.lines) - self.size.lines)
        match what:
            case "A":
                self._row = max(top, self._row - max(1, count))
            case "K":
                self.lines[self._row] = self.lines[self._row][: 0 if count == 2 else self._column]
            case "J":
                self.lines[self._row] = self.lines[self._row][: self._column]
                del self.lines[self._row + 1 :]

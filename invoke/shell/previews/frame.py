"""A small picture above the last line of the screen: drawn over in place, then left there or taken away."""

import secrets
from collections.abc import Callable
from os import terminal_size
from typing import TextIO

from invoke.events import Pixels
from invoke.shell.previews import protocols
from invoke.shell.previews.protocols import Box, Kind, fitted

LARGEST = Box(32, 16)
SMALLEST = terminal_size((40, 8))
"""Columns and lines of a terminal, below which nothing is drawn. A picture takes at most half of the lines."""
SHOWN = Box(64, 24)
"""The largest box of a picture that is shown by request."""
UNBROKEN = "\x1b\\\x1b[0m"
"""Ends whatever an interruption has left open."""


def box_for(pixels: Pixels, kind: Kind, columns: int, lines: int) -> Box | None:
    """The box of a picture that is being made, on a terminal of that size; None where none is drawn."""
    if kind == "none" or columns < SMALLEST.columns or lines < SMALLEST.lines:
        return None
    return fitted(pixels, Box(LARGEST.columns, min(LARGEST.rows, lines // 2)))


def drawn(pixels: Pixels, kind: Kind, size: terminal_size) -> str:
    """A picture to look at, as lines of text; "" where none is drawn."""
    if kind == "none" or size.columns < SMALLEST.columns or size.lines < SMALLEST.lines:
        return ""
    box = fitted(pixels, Box(min(SHOWN.columns, size.columns - 1), min(SHOWN.rows, size.lines - 4)))
    return protocols.encode_lines(kind, pixels, box, secrets.randbelow(2**31) + 1)


class Frame:
    """Where a picture is shown while it is made.

    Each change is one write that begins and ends in the line below, so that a bar can be drawn there.
    All other lines are written while nothing is shown.
    """

    def __init__(self, stream: TextIO, kind: Kind, size: Callable[[], terminal_size]) -> None:
        self._stream, self._kind, self._size = stream, kind, size
        self._number = secrets.randbelow(2**31) + 1
        """Of the picture, among all that the terminal remembers."""
        self._pixels: Pixels | None = None
        self._box: Box | None = None
        """What the picture takes of the screen, above the line that the cursor is in."""
        self._columns = 0
        """Of the screen when it was drawn."""
        self._lost = False

    def show(self, pixels: Pixels) -> None:
        """Draw `pixels`, in the place of what is shown."""
        self._pixels = pixels
        self._find()
        if not self._lost:
            self._draw(pixels)

    def finish(self, pixels: Pixels) -> None:
        """The same for the last time: it stays on the screen."""
        self._find()
        self._draw(pixels)
        self._pixels = self._box = None
        self._lost = False
        self._number += 1

    def hide(self) -> None:
        """Take the picture away; `show_again` brings it back."""
        self._find()
        if self._box is not None:
            gone = protocols.delete(self._kind, self._number)
            self._write(f"{UNBROKEN}{gone}\r\x1b[{self._box.rows}A\x1b[J")
            self._box = None

    def show_again(self) -> None:
        if self._pixels is not None:
            self.show(self._pixels)

    def _find(self) -> None:
        """On a screen that became smaller the picture's place is unknown: it is left there."""
        size = self._size()
        if self._box is not None and (size.columns < self._columns or size.lines <= self._box.rows):
            self._box, self._lost = None, True
            self._number += 1

    def _draw(self, pixels: Pixels) -> None:
        size = self._size()
        box = box_for(pixels, self._kind, size.columns, size.lines)
        if box is None:
            return
        if box != self._box:
            self.hide()
        start = f"\x1b[{box.rows}A" if self._box else "\x1b[K"
        self._write(f"\r{start}{protocols.encode_lines(self._kind, pixels, box, self._number)}")
        self._box, self._columns = box, size.columns

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

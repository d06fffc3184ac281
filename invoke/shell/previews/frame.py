"""Draws a preview above the last line of the screen, in place, and leaves or removes it at the end."""

import secrets
from collections.abc import Callable
from os import terminal_size
from typing import TextIO

from invoke.events import Pixels
from invoke.shell.previews import protocols
from invoke.shell.previews.protocols import Box, Kind, fitted

LARGEST = Box(32, 16)
SMALLEST = terminal_size((40, 8))
"""Minimum columns and lines of a terminal for previews, which take at most half of the lines."""
SHOWN = Box(64, 24)
"""The largest box of a picture shown with `!show`."""
UNBROKEN = "\x1b\\\x1b[0m"
"""Terminates a sequence that an interruption left incomplete."""


def box_for(pixels: Pixels, kind: Kind, columns: int, lines: int) -> Box | None:
    """The box of a preview in a terminal of this size; None if none is drawn."""
    if kind == "none" or columns < SMALLEST.columns or lines < SMALLEST.lines:
        return None
    return fitted(pixels, Box(LARGEST.columns, min(LARGEST.rows, lines // 2)))


def drawn(pixels: Pixels, kind: Kind, size: terminal_size) -> str:
    """A picture to view, as lines of text; "" if none is drawn."""
    if kind == "none" or size.columns < SMALLEST.columns or size.lines < SMALLEST.lines:
        return ""
    box = fitted(pixels, Box(min(SHOWN.columns, size.columns - 1), min(SHOWN.rows, size.lines - 4)))
    return protocols.encode_lines(kind, pixels, box, secrets.randbelow(2**31) + 1)


class Frame:
    """Shows the preview of a picture while it is made.

    Each update is one write that begins and ends in the line below, so that a bar can be drawn there. Other lines may
    be written only while the preview is hidden.
    """

    def __init__(self, stream: TextIO, kind: Kind, size: Callable[[], terminal_size]) -> None:
        self._stream, self._kind, self._size = stream, kind, size
        self._number = secrets.randbelow(2**31) + 1
        """The terminal's number of the picture."""
        self._pixels: Pixels | None = None
        self._box: Box | None = None
        """The screen area of the picture, above the cursor's line."""
        self._columns = 0
        """Columns of the screen when it was drawn."""
        self._lost = False

    def show(self, pixels: Pixels) -> None:
        """Draw `pixels` in place of the current preview."""
        self._pixels = pixels
        self._find()
        if not self._lost:
            self._draw(pixels)

    def finish(self, pixels: Pixels) -> None:
        """Draw the final picture, which stays on the screen."""
        self._find()
        self._draw(pixels)
        self._pixels = self._box = None
        self._lost = False
        self._number += 1

    def hide(self) -> None:
        """Remove the preview; `show_again` restores it."""
        self._find()
        if self._box is not None:
            gone = protocols.delete(self._kind, self._number)
            self._write(f"{UNBROKEN}{gone}\r\x1b[{self._box.rows}A\x1b[J")
            self._box = None

    def show_again(self) -> None:
        if self._pixels is not None:
            self.show(self._pixels)

    def _find(self) -> None:
        """If the screen has become smaller, the position of the preview is unknown: it is left there."""
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

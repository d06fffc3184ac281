"""The preview above the prompt, drawn over an empty window, only when it has changed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from threading import Lock

from prompt_toolkit.data_structures import Point, Size
from prompt_toolkit.layout import Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.layout.screen import Screen

from invoke.events import Pixels
from invoke.shell.previews.frame import box_for
from invoke.shell.previews.protocols import Box, Kind, delete, encode, encode_lines
from invoke.shell.progress_board import Board

RESERVED = 11
"""Rows below the picture reserved for a menu, the status and the toolbar."""


class SmallPicture:
    """The preview that `SteadyRenderer` draws over `window`."""

    def __init__(self, board: Board, kind: Kind, size: Callable[[], Size]) -> None:
        self._board, self._kind, self._size = board, kind, size
        self._number = secrets.randbelow(2**31) + 1
        self._lock = Lock()
        self._cached: tuple[int, Box, str] | None = None
        self._image: Pixels | None = None
        self._version = 0
        self._drawn: tuple[int, Box, int, int] | None = None
        self.needs_room: Callable[[], bool] = lambda: False
        """Whether a menu is open."""
        self.window = Window(FormattedTextControl(""), height=self.rows, dont_extend_height=True)

    def encode_ahead(self) -> None:
        """Encode the latest picture, in the thread that made it."""
        image, version, box = self._board.image, self._board.version, self._box(self._board.image)
        if image is not None and box is not None:
            self._encoded(image, version, box)

    def prepare(self) -> None:
        """Select the latest picture for the next frame."""
        self._image, self._version = self._board.image, self._board.version

    def rows(self) -> int:
        """The height of the window in rows; 0: nothing to show, or no room."""
        box = self._box(self._image)
        return box.rows if box is not None else 0

    def draw(self, screen: Screen, cursor: Point, *, repainted: bool) -> str:
        place = screen.visible_windows_to_write_positions.get(self.window)
        box = self._box(self._image)
        if place is None or self._image is None or box is None or place.height < box.rows:
            self._drawn = None
            return ""
        state = (self._version, box, place.xpos, place.ypos)
        if state == self._drawn and not repainted:
            return ""
        self._drawn = state
        rows = self._encoded(self._image, self._version, box).split("\n")
        up = cursor.y - place.ypos
        down = up - (len(rows) - 1)
        back = f"\x1b[{down}B" if down > 0 else f"\x1b[{-down}A" if down < 0 else ""
        forth = f"\x1b[{cursor.x}C" if cursor.x else ""
        start = f"\x1b[{up}A" if up > 0 else ""
        return f"\x1b[?25l{start}\r" + "\x1b[B\r".join(rows) + f"{back}\r{forth}\x1b[?25h"

    def erase(self) -> str:
        was, self._drawn = self._drawn, None
        return delete(self._kind, self._number) if was is not None else ""

    def lines(self, image: Pixels) -> str:
        """A finished picture as lines of text, which scroll like other text; "" if none is shown."""
        box = self._box(image)
        return encode_lines(self._kind, image, box, secrets.randbelow(2**31) + 1) if box is not None else ""

    def _box(self, image: Pixels | None) -> Box | None:
        size = self._size()
        box = box_for(image, self._kind, size.columns, size.rows) if image is not None else None
        if box is None:
            return None
        if self.needs_room() and size.rows < box.rows + RESERVED:
            return None
        return box

    def _encoded(self, image: Pixels, version: int, box: Box) -> str:
        with self._lock:
            if self._cached is None or self._cached[:2] != (version, box):
                self._cached = version, box, encode(self._kind, image, box, self._number)
            return self._cached[2]

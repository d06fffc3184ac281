"""Draws the board at the plain prompt: a bar (`progress_board.Status.row`), and a preview above it.

Nothing else may write to the terminal meanwhile. The bar disappears when the picture is finished; the preview stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import RLock, Thread

from invoke.events import Event, Finished
from invoke.shell.previews.frame import Frame
from invoke.shell.progress_board import STOPPING, Board
from invoke.shell.terminal import Terminal
from invoke.signals import running_time

TICK = 0.5
"""Seconds after which the bar is redrawn without an event."""
_CLEAR = "\r\x1b[2K"


class Progress:
    """The bar of a line with `count` pictures. On a terminal that cannot overwrite lines it shows nothing."""

    def __init__(self, terminal: Terminal, count: int, clock: Callable[[], float] = running_time) -> None:
        self._terminal, self._clock = terminal, clock
        self._frame = Frame(terminal.err, terminal.pictures, terminal.size)
        self._board = Board(clock)
        self._board.begin(count)
        self._board.changed = self._draw
        self._version = self._board.version
        self._drawing = RLock()
        self._is_drawn = self._is_held = False
        self._over = Flag()

    def __enter__(self) -> Progress:
        if self._terminal.moves:
            Thread(target=self._tick, name="bar", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.clear()

    def wait(self, state: str, since: float = 0.0) -> None:
        """See `Board.wait`."""
        self._board.wait(state, since)

    def show(self, event: Event) -> None:
        with self._drawing:
            self._board.show(event)
            if isinstance(event, Finished):
                self._wipe()
                self._version = self._board.version
                self._frame.finish(event.image)

    def note(self, text: str) -> None:
        """Print a note above the bar."""
        with self.above():
            self._terminal.note(text)

    @contextmanager
    def above(self) -> Iterator[None]:
        """Context in which text is written above the bar."""
        with self._drawing:
            self._wipe()
            self._frame.hide()
            self._is_held = True
            try:
                yield
            finally:
                self._is_held = False
                self._frame.show_again()
                self._draw()

    def stopping(self) -> None:
        """Show that the line stops after the current step."""
        if self._board.status is not None and self._terminal.moves:
            self._board.stopping()
        else:
            with self.above():
                self._terminal.say(STOPPING)

    def clear(self) -> None:
        """Remove the bar and an unfinished preview."""
        with self._drawing:
            self._board.clear()
            self._frame.hide()

    def _tick(self) -> None:
        while not self._over.wait(TICK):
            self._draw()

    def _draw(self) -> None:
        if not self._terminal.moves:
            return
        with self._drawing:
            if self._is_held:
                return
            self._draw_picture()
            status = self._board.status
            if status is None:
                self._wipe()
            elif not self._over.is_set():
                row = status.row(self._terminal.size().columns - 1, self._clock(), plain=not self._terminal.draws_lines)
                self._write(f"\r{row}\x1b[K")
                self._is_drawn = True

    def _draw_picture(self) -> None:
        if self._board.version == self._version:
            return
        self._version = self._board.version
        if self._board.image is not None:
            self._frame.show(self._board.image)

    def _wipe(self) -> None:
        if self._is_drawn:
            self._write(_CLEAR)
            self._is_drawn = False

    def _write(self, text: str) -> None:
        self._terminal.err.write(text)
        self._terminal.err.flush()

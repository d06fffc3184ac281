"""Flicker-free rendering: each frame is one write, and text above the prompt is printed as part of a frame.

`SteadyOutput` collects a frame; `SteadyRenderer` composes it. The terminal is never queried, because answers would end
up among typed keys.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any, Protocol

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout import Layout
from prompt_toolkit.layout.screen import Screen
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import Renderer
from prompt_toolkit.styles import BaseStyle

from invoke.shell.escapes import is_tmux

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized update: terminals that support it show a frame at once; others ignore it."""
_SHOW = "\x1b[?25h"
_IDLE = re.compile(r"\x1b\[\?25[lh]|\x1b\[\?12l|\x1b\[0m|\x1b\[\?7[lh]")
"""Sequences of a frame without changes."""
SETTLING = 0.3
"""Seconds after a resize in which nothing is drawn in tmux. It rewraps a pane at once, but reports the new size at most
every 0.25 s: a frame written in between would be in the wrong rows."""


class SteadyOutput(Vt100_Output):
    """Writes each frame at once, and nothing for a frame without changes."""

    _holding = 0
    _paste = _wanted_paste = False
    written = 0
    """Letters so far."""

    @property
    def responds_to_cpr(self) -> bool:
        return False

    def get_rows_below_cursor_position(self) -> int:
        """Always 1, so that prompt_toolkit never queries the cursor position."""
        return 1

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Context in which everything is collected into one write."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            self.flush()

    def flush(self) -> None:
        if self._holding:
            return
        if self._wanted_paste != self._paste:
            self._paste = self._wanted_paste
            self._buffer.append("\x1b[?2004h" if self._paste else "\x1b[?2004l")
        text = "".join(self._buffer)
        if not _IDLE.sub("", text) and (not text or text.rfind(_SHOW) > text.rfind("\x1b[?25l")):
            self._buffer = []
            return
        self._buffer = [BEGIN, text, END]
        self.written += len(text) + len(BEGIN) + len(END)
        super().flush()

    def erase_down(self) -> None:
        """The first row apart: a screen that is erased from its first cell on is kept by tmux as if it had scrolled."""
        self.write_raw("\x1b[K\x1b7\x1b[B\x1b[J\x1b8")

    def enable_bracketed_paste(self) -> None:
        self._wanted_paste = True

    def disable_bracketed_paste(self) -> None:
        self._wanted_paste = False


class Above:
    """Buffers text to print above the prompt. Thread-safe; an incomplete line waits for its end.

    A text stream that is sufficient for `print`.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = Lock()
        self._lines: list[str] = []
        self._open = ""
        self.changed: Callable[[], None] = lambda: None
        """Called after each write that ends a line."""

    def write(self, text: str) -> int:
        with self._lock:
            complete, found, rest = (self._open + text).rpartition("\n")
            self._open = rest
            if found:
                self._lines.append(complete + found)
        if found:
            self.changed()
        return len(text)

    def take(self) -> str:
        """Everything that was written since the last time, in whole lines."""
        with self._lock:
            text, self._lines = "".join(self._lines), []
        return text

    @property
    def is_waiting(self) -> bool:
        return bool(self._lines)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())

    @property
    def encoding(self) -> str:
        return str(self._stream.encoding or "utf-8")


class Inset(Protocol):
    """Draws over an empty window of the layout after each frame, without moving the cursor."""

    def prepare(self) -> None:
        """Called at the start of a frame: the content must not change until it ends."""
        ...

    def draw(self, screen: Screen, cursor: Point, *, repainted: bool) -> str:
        """The sequence that draws it; "" if it is still visible. `repainted`: the window was cleared."""
        ...

    def erase(self) -> str:
        """The sequence that removes it."""
        ...


class SteadyRenderer(Renderer):
    """Prints buffered text above the layout, then the layout, in one frame. Handles resizes."""

    def __init__(  # noqa: PLR0913 - parts
        self,
        style: BaseStyle,
        output: SteadyOutput,
        above: Above,
        inset: Inset,
        signs: Callable[[], str],
        *,
        reflows: bool,
        settling: float = 0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`signs` returns further sequences for a frame, such as the window title.

        `settling`: seconds for which the window size must be stable before anything is drawn.
        """
        self._above, self._inset, self._signs, self._reflows = above, inset, signs, reflows
        self._settling, self._clock = settling, clock
        self._size, self._resized = output.get_size(), float("-inf")
        self._repainted = True
        self.steady = output
        super().__init__(style, output)

    def render(self, app: Application[Any], layout: Layout, is_done: bool = False) -> None:
        if not is_done and not self._is_settled(app):
            return
        with self.steady.frame():
            self._inset.prepare()
            self.steady.write_raw(self._signs())
            self._make_room(layout)
            if text := self._above.take():
                self.erase()
                self.steady.write_raw(text.replace("\n", "\r\n"))
            before = self._last_screen
            super().render(app, layout, is_done)
            if not is_done and self._last_screen is not None:
                repainted = before is None or self._repainted
                self._repainted = False
                drawn = self._inset.draw(self._last_screen, self._cursor_pos, repainted=repainted)
                if drawn:
                    self.steady.write_raw(drawn)

    def _is_settled(self, app: Application[Any]) -> bool:
        """Whether the window size has been stable for long enough; if not, `app` redraws later."""
        size, now = self.steady.get_size(), self._clock()
        if size != self._size:
            self._size, self._resized = size, now
            if self._settling and app.loop is not None:
                app.loop.call_later(self._settling + 0.01, app.invalidate)
        return now - self._resized >= self._settling

    def request_absolute_cursor_position(self) -> None:
        if self._cursor_pos.y == 0:  # otherwise a resize is pending, and nothing is erased yet
            super().request_absolute_cursor_position()

    def erase(self, leave_alternate_screen: bool = True) -> None:
        if self._settling and not leave_alternate_screen:  # by prompt_toolkit after a resize: `render` does it in time
            return
        with self.steady.frame():
            self.steady.write_raw(self._inset.erase())
            self._find_cursor()
            super().erase(leave_alternate_screen)

    def reset(self, _scroll: bool = False, leave_alternate_screen: bool = True) -> None:
        self._repainted = True
        super().reset(_scroll, leave_alternate_screen)

    def _make_room(self, layout: Layout) -> None:
        """Start over if the window size has changed, or the layout needs fewer rows."""
        if self._last_screen is None or self._last_size is None:
            return
        size = self.steady.get_size()
        needed = layout.container.preferred_height(size.columns, size.rows).preferred
        if size != self._last_size or min(needed, size.rows) < self._last_screen.height:
            self.erase()

    def _find_cursor(self) -> None:
        """Update the cursor's row in the last frame, which terminals rewrap in a narrower window."""
        screen, size = self._last_screen, self.steady.get_size()
        if screen is None or self._last_size is None or size == self._last_size:
            return
        x, y = self._cursor_pos
        if self._reflows:
            widths = [_width(screen, row) for row in range(y)]
            y = sum(max(1, -(-width // size.columns)) for width in widths) + x // size.columns
            x %= size.columns
        self._cursor_pos = Point(x=min(x, size.columns - 1), y=min(y, size.rows - 1))


def _width(screen: Screen, row: int) -> int:
    """The number of columns in use in the row."""
    cells = screen.data_buffer[row]
    return max((column + 1 for column, cell in cells.items() if cell.char != " "), default=0)


def settling(environment: Mapping[str, str]) -> float:
    """Seconds for which the window size must be stable before anything is drawn."""
    return SETTLING if is_tmux(environment) else 0


def reflows(environment: Mapping[str, str]) -> bool:
    """Whether the terminal rewraps long rows when its width changes; most do, but not xterm and the console."""
    signs = ("VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "ALACRITTY_WINDOW_ID", "WEZTERM_PANE")
    programs = ("iTerm.app", "Apple_Terminal", "WezTerm", "ghostty", "vscode")
    return is_tmux(environment) or any(map(environment.get, signs)) or environment.get("TERM_PROGRAM") in programs

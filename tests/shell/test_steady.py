"""Output while the window is resized."""

import io

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point, Size
from prompt_toolkit.layout import Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.layout.screen import Screen
from prompt_toolkit.output import DummyOutput

from invoke.shell.steady import SETTLING, Above, SteadyOutput, SteadyRenderer, settling

WIDE, NARROW, NARROWER = Size(24, 100), Size(24, 80), Size(24, 70)


class NoPicture:
    """An inset that is empty."""

    def prepare(self) -> None: ...

    def draw(self, screen: Screen, cursor: Point, *, repainted: bool) -> str:
        return ""

    def erase(self) -> str:
        return ""


class Drawing:
    """One row of 90 letters in a window, drawn by `SteadyRenderer` at a time of the test's own."""

    def __init__(self, settling: float) -> None:
        self._out, self.size, self.now = io.StringIO(), WIDE, 0.0
        output = SteadyOutput(self._out, lambda: self.size)
        row = Window(FormattedTextControl("x" * 90))
        self._app: Application[None] = Application(Layout(row), output=DummyOutput())
        above = Above(self._out)
        self._renderer = SteadyRenderer(
            self._app.renderer.style,
            *(output, above, NoPicture(), lambda: ""),
            reflows=True,
            settling=settling,
            clock=lambda: self.now,
        )

    def frame(self) -> str:
        """The output of another frame, after prompt_toolkit has noticed the window's size."""
        if self.size != self._renderer._last_size:
            self._renderer.erase(leave_alternate_screen=False)
            self._renderer.request_absolute_cursor_position()
        self._renderer.render(self._app, self._app.layout)
        text = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return text


def test_in_tmux_drawing_waits_until_the_window_size_is_stable() -> None:
    drawing = Drawing(SETTLING)
    assert "x" * 90 in drawing.frame()
    drawing.size = NARROW
    assert drawing.frame() == ""
    drawing.now, drawing.size = 0.25, NARROWER  # tmux reports it that late
    assert drawing.frame() == ""
    drawing.now = SETTLING + 0.1
    assert drawing.frame() == "", "the size is 0.15 s old"
    drawing.now = SETTLING + 0.26
    assert "x" * 69 in drawing.frame()


def test_outside_tmux_a_new_size_is_drawn_at_once() -> None:
    drawing = Drawing(0)
    drawing.frame()
    drawing.size = NARROW
    assert "x" * 79 in drawing.frame()


def test_tmux_is_detected_locally_and_over_ssh() -> None:
    assert settling({"TERM": "xterm-256color"}) == 0
    assert settling({"TERM": "screen", "TMUX": "/tmp/tmux,1,0"}) == settling({"TERM": "tmux-256color"}) == SETTLING

"""The bar: drawn on terminals that can, gone when the picture is there."""

import io

import pytest

from invoke.events import Event, Finished, Loaded, Loading, Noted, Started, Step
from invoke.shell.progress import Progress
from invoke.shell.terminal import Terminal
from tests.fakes import FakeEngine
from tests.shell.talk import Screen
from tests.worlds import plan


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return Screen()


def _events() -> list[Event]:
    return list(FakeEngine().generate(plan("a cat -s 4").picture(0).request))


def _drawn(screen: io.StringIO, events: list[Event], count: int = 1) -> str:
    with Progress(Terminal(io.StringIO(), screen), count) as progress:
        for event in events:
            progress.show(event)
            if progress._bar is not None:
                progress._bar.refresh()
    return screen.getvalue()


def test_steps_are_counted_and_pictures_too(screen: Screen) -> None:
    drawn = _drawn(screen, _events() * 2, count=2)
    assert "picture 1 of 2" in drawn
    assert "picture 2 of 2" in drawn
    assert "0/4" in drawn
    assert "4/4" in drawn


def test_loading_is_shown(screen: Screen) -> None:
    drawn = _drawn(screen, [Loading("pocket"), Loaded("pocket", "cpu", "float32", 1.0)])
    assert "loading pocket" in drawn


def test_the_bar_is_gone_at_the_end(screen: Screen) -> None:
    drawn = _drawn(screen, _events())
    assert drawn.endswith("\x1b[2K"), "the last thing drawn is an empty line"
    assert not any(isinstance(event, Finished) for event in _events()[:-1])


def test_without_a_terminal_nothing_is_drawn() -> None:
    assert _drawn(io.StringIO(), _events()) == ""


def test_a_dumb_terminal_is_spared(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert _drawn(screen, _events()) == ""


def test_a_note_and_the_wish_to_stop_are_seen_above_the_steps(screen: Screen) -> None:
    started, *_ = _events()
    assert isinstance(started, Started)
    with Progress(Terminal(io.StringIO(), screen), 1) as progress:
        progress.show(started)
        progress.note("words were cut")
        progress.show(Step(1, 4, 500.0))
        progress.stopping()
        assert progress._bar is not None
        progress._bar.refresh()
    drawn = screen.getvalue()
    assert "words were cut\n" in drawn
    assert "stopping after this step" in drawn


def test_what_happens_before_a_bar_is_no_harm() -> None:
    with Progress(Terminal(io.StringIO(), io.StringIO()), 1) as progress:
        progress.show(Step(1, 4, 500.0))
        progress.show(Noted("nothing"))
        progress.stopping()

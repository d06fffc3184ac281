"""The progress bar: drawn on capable terminals, erased when the picture is finished. The picture stays."""

import io

import pytest

from invoke.events import Event, Finished, Loaded, Loading, Note, Pixels, Postprocessing, Previews, Started, Step
from invoke.shell.progress import STOPPING, Progress
from invoke.shell.terminal import Terminal
from tests.fakes import FakeEngine, a_picture
from tests.line_contexts import plan
from tests.shell.fake_screen import FakeScreen
from tests.shell.talk import Screen


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return Screen()


class Clock:
    """Reports the size it is set to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _events() -> list[Event]:
    return list(FakeEngine().generate(plan("a cat -s 4").picture(0).request))


def _drawn(screen: io.StringIO, events: list[Event], count: int = 1) -> str:
    clock = Clock()
    with Progress(Terminal(io.StringIO(), screen), count, clock) as progress:
        for event in events:
            clock.now += 1
            progress.show(event)
    return screen.getvalue()


def test_the_bar_counts_steps_and_pictures(screen: Screen) -> None:
    drawn = _drawn(screen, _events() * 2, count=2)
    assert "picture 1 of 2" in drawn
    assert "picture 2 of 2" in drawn
    assert "0/4" in drawn
    assert "4/4" in drawn


def test_the_bar_shows_loading(screen: Screen) -> None:
    drawn = _drawn(screen, [Loading("pocket"), Loaded("pocket", "cpu", "float32", 1.0)])
    assert "loading pocket" in drawn


def test_the_bar_is_erased_at_the_end(screen: Screen) -> None:
    drawn = _drawn(screen, _events())
    assert drawn.endswith("\x1b[2K"), "the last thing drawn is an empty line"
    assert not any(isinstance(event, Finished) for event in _events()[:-1])


def test_without_a_terminal_no_bar_is_drawn() -> None:
    assert _drawn(io.StringIO(), _events()) == ""


def test_a_dumb_terminal_gets_no_bar(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert _drawn(screen, _events()) == ""


def test_notes_and_a_pending_stop_are_shown_above_the_steps(screen: Screen) -> None:
    started, *_ = _events()
    assert isinstance(started, Started)
    with Progress(Terminal(io.StringIO(), screen), 1) as progress:
        progress.show(started)
        progress.note("words were cut")
        progress.show(Step(1, 4, 500.0))
        progress.stopping()
    drawn = screen.getvalue()
    assert "words were cut\n" in drawn
    assert "stopping after this step" in drawn


def test_events_before_the_bar_are_ignored() -> None:
    out, err = io.StringIO(), io.StringIO()
    with Progress(Terminal(out, err), 1) as progress:
        progress.show(Step(1, 4, 500.0))
        progress.show(Note("nothing"))
        progress.stopping()
    assert (out.getvalue(), err.getvalue()) == ("", f"{STOPPING}\n")


# pictures


@pytest.fixture
def fake_screen(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> FakeScreen:
    monkeypatch.setenv("LINES", "30")
    return FakeScreen(columns=100, lines=30)


def _watched(fake_screen: FakeScreen, clock: Clock) -> Progress:
    return Progress(Terminal(io.StringIO(), fake_screen, "blocks"), 1, clock)


def _shown(fake_screen: FakeScreen) -> list[str]:
    """What stands on the screen, each run of half blocks as one."""
    output = ["picture" if line.startswith("▀") else line for line in fake_screen.shown]
    return [line for index, line in enumerate(output) if line != "picture" or output[index - 1 : index] != ["picture"]]


def test_a_preview_grows_above_the_bar_and_stays_afterwards(fake_screen: FakeScreen) -> None:
    engine, clock = FakeEngine(), Clock()
    with _watched(fake_screen, clock) as progress:
        for event in engine.generate(plan("a cat -s 4").picture(0).request, previews=Previews(watched=True)):
            clock.now += 1
            progress.show(event)
            if isinstance(event, Step):
                above, bar = _shown(fake_screen)
                assert above == "picture"
                assert bar.startswith("picture ")
    assert _shown(fake_screen) == ["picture"]


def test_previews_are_drawn_at_a_limited_rate(fake_screen: FakeScreen) -> None:
    clock, drawn = Clock(), 0
    with _watched(fake_screen, clock) as progress:
        progress.show(_events()[0])
        for index in range(60):
            before = fake_screen.frames
            clock.now += 1 / 30
            progress.show(Step(index, 60, 1.0, a_picture(index)))
            drawn += fake_screen.frames > before
    assert 4 <= drawn <= 6, "in two seconds"


def test_of_pictures_drawn_at_once_the_first_has_a_preview_and_all_stay(fake_screen: FakeScreen) -> None:
    started, *_, finished = _events()
    clock, shown = Clock(), []
    with Progress(Terminal(io.StringIO(), fake_screen, "blocks"), 2, clock) as progress:
        for event in (started, started):
            progress.show(event)
        for index in range(4):
            for side in (16, 32):  # as wide as high, and half as high
                before, clock.now = fake_screen.frames, clock.now + 1
                progress.show(Step(index, 4, 1.0, Pixels(16, side, bytes(3 * 16 * side))))
                shown += [side] * (fake_screen.frames > before)
        assert fake_screen.shown[-1].startswith("pictures 1 to 2 of 2")
        assert set(shown) == {16}
        progress.show(finished)
        progress.show(finished)
    assert len(fake_screen.shown) == 30


def test_notes_are_shown_above_the_preview(fake_screen: FakeScreen) -> None:
    started, first, *_ = FakeEngine().generate(plan("a cat -s 4").picture(0).request, previews=Previews(watched=True))
    with _watched(fake_screen, Clock()) as progress:
        progress.show(started)
        progress.show(first)
        progress.note("words were cut")
        assert _shown(fake_screen)[:2] == ["note: words were cut", "picture"]
    assert _shown(fake_screen) == ["note: words were cut"], "a picture that was stopped is taken away"


def test_during_upscaling_the_drawn_picture_is_shown_above_messages(fake_screen: FakeScreen) -> None:
    started, *_, finished = _events()
    assert isinstance(finished, Finished)
    with _watched(fake_screen, Clock()) as progress:
        for event in (
            started,
            Postprocessing(finished),
            Loading("upscaler-x2"),
            Loaded("upscaler-x2", "cpu", "float32", 1.0),
        ):
            progress.show(event)
        progress.stopping()
        assert _shown(fake_screen) == [STOPPING, "picture"]
        progress.show(finished)
    assert _shown(fake_screen) == [STOPPING, "picture"]

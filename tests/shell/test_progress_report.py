"""One line at a terminal: the bar is drawn and erased, and only the path is on stdout."""

import io
import re
from random import Random

import pytest

from invoke.cli.batch import Batch
from invoke.cli.progress_report import WatchedReport
from invoke.errors import ExitStatus
from invoke.language.launch_options import Preview
from invoke.workers.pool import WorkerPool
from tests.shell.fake_screen import FakeScreen
from tests.shell.talk import Talk
from tests.workers.lanes import FakeLanes


class Screen(io.StringIO):
    """A terminal that records everything."""

    def isatty(self) -> bool:
        return True


def test_the_bar_counts_lines_if_their_number_is_known(talk: Talk) -> None:
    screen = Screen()
    report = WatchedReport(io.StringIO(), screen, single=False)
    report.lines = 2
    Batch(talk.session, report, dry_run=True, stop_on_error=False).run(["a cat -s 4", "a dog -s 4"])
    assert "line 1 of 2: txt2img" in screen.getvalue()
    assert "line 2 of 2: txt2img" in screen.getvalue()


def test_a_bar_counts_steps_and_paths_go_to_stdout(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    out, screen = io.StringIO(), Screen()
    report = WatchedReport(out, screen, single=True)
    batch = Batch(talk.session, report, dry_run=False, stop_on_error=False)
    assert batch.run(["a cat -S 7 -n 2 -s 4", "a well -lit room"]) is ExitStatus.FAILED
    assert [path.rpartition("/")[2] for path in out.getvalue().split()] == ["000001.7.png", "000001.8.png"]
    shown = screen.getvalue()
    assert "picture 1 of 2" in shown
    assert "error: there is no switch -lit" in shown
    assert "\x1b[2K" in shown, "the bar is wiped away"


def test_each_path_is_printed_once_on_a_terminal(talk: Talk) -> None:
    screen = Screen()
    Batch(talk.session, WatchedReport(screen, screen, single=True), dry_run=False, stop_on_error=False).run(
        ["a cat -S 7 -s 4"]
    )
    assert screen.getvalue().count("000001.7.png") == 1


@pytest.mark.parametrize(("preview", "shown"), [("off", 0), ("blocks", 2)])
def test_a_single_line_shows_previews_if_requested(
    preview: Preview, shown: int, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    fake_screen = FakeScreen(columns=100, lines=30)
    report = WatchedReport(io.StringIO(), fake_screen, single=True, preview=preview)
    talk.session.watched = report.shows_pictures
    Batch(talk.session, report, dry_run=False, stop_on_error=False).run(["a cat -S 7 -n 2 -s 4 --save_intermediates 1"])
    output = [line for line in fake_screen.shown if not line.startswith("▀")]
    assert sum(line.startswith("▀") for line in fake_screen.shown) == shown * 12
    assert [line.partition(" ")[0] for line in output] == ["txt2img", "[1]", "[2]"]


def test_the_bar_counts_the_pictures_of_all_workers(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Screen()
    pool = WorkerPool(FakeLanes(2, Random(1)), talk.session.remember)
    report = WatchedReport(io.StringIO(), screen, single=False)
    Batch(talk.session, report, dry_run=False, stop_on_error=False, pool=pool).run(["a cat -n 2 -s 2", "a dog -s 2"])
    assert "starting 2 workers" in screen.getvalue()
    assert re.search(r"3 of 3 · 2 workers · \d+\.\d/s", screen.getvalue())

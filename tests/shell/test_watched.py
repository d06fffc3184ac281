"""One line at a terminal: the bar is drawn and gone, the path is on stdout alone."""

import io

import pytest

from invoke.batch import Batch
from invoke.errors import ExitStatus
from invoke.shell.watched import WatchedReport
from tests.shell.talk import Talk


class Screen(io.StringIO):
    """A terminal that remembers everything."""

    def isatty(self) -> bool:
        return True


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

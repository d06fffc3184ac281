"""One line or a batch at a terminal: what a pipe is told as well, and a bar while a picture is made."""

from typing import TextIO

from invoke.command.plan import Plan
from invoke.errors import InvokeError
from invoke.events import Event, Fetching, Finished, Loaded, Loading, Noted, Started, Step
from invoke.report import TextReport
from invoke.shell.progress import Progress
from invoke.shell.terminal import Terminal


class WatchedReport(TextReport):
    """A TextReport whose `err` is a terminal that somebody looks at."""

    def __init__(self, out: TextIO, err: TextIO, *, single: bool) -> None:
        super().__init__(out, err, quiet=False, single=single)
        self._terminal = Terminal(out, err)
        self._progress = Progress(self._terminal, 1)

    def plan(self, line: int, plan: Plan) -> None:
        super().plan(line, plan)
        self._progress = Progress(self._terminal, plan.count)

    def event(self, line: int, event: Event) -> None:
        match event:
            case Noted(text):
                self._progress.note(text)
            case Fetching() | Loading() | Started() | Step():
                self._progress.show(event)
            case Loaded() | Finished():
                self._progress.show(event)
                super().event(line, event)
            case _:
                with self._progress.above():
                    super().event(line, event)

    def error(self, line: int, error: InvokeError) -> None:
        self._progress.clear()
        super().error(line, error)

    def done(self, made: int, failed: int, seconds: float) -> None:
        self._progress.clear()
        super().done(made, failed, seconds)

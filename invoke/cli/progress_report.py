"""One line or a batch at a terminal: what a pipe is told as well, and a bar while a picture is made."""

from typing import TextIO

from invoke.cli.reports import Tally, TextReport
from invoke.errors import InvokeError
from invoke.events import Downloading, Event, Finished, Loaded, Loading, Note, Postprocessing, Saved, Started, Step
from invoke.language.launch_options import Preview
from invoke.language.plan import Plan
from invoke.shell.progress import Progress
from invoke.shell.terminal import Terminal


class WatchedReport(TextReport):
    """A TextReport whose `err` is a terminal that somebody looks at."""

    def __init__(self, out: TextIO, err: TextIO, *, single: bool, preview: Preview = "off") -> None:
        super().__init__(out, err, quiet=False, single=single)
        self._terminal = Terminal(out, err, preview)
        self.shows_pictures = self._terminal.shows_pictures
        self._progress = Progress(self._terminal, 1)

    def plan(self, line: int, plan: Plan) -> None:
        super().plan(line, plan)
        self._progress = Progress(self._terminal, plan.count - len(plan.made))

    def event(self, line: int, event: Event, *, picture: int | None = None, worker: int | None = None) -> None:
        match event:
            case Note(text):
                self._progress.note(text)
            case Downloading() | Loading() | Started() | Step() | Postprocessing():
                self._progress.show(event)
            case Saved(_, "step"):
                pass  # there are many, and nothing is said of them
            case Loaded() | Finished():
                self._progress.show(event)
                with self._progress.above():
                    super().event(line, event)
            case _:
                with self._progress.above():
                    super().event(line, event)

    def error(self, line: int, error: InvokeError) -> None:
        self._progress.clear()
        super().error(line, error)

    def warn(self, line: int, text: str) -> None:
        self._progress.clear()
        super().warn(line, text)

    def done(self, tally: Tally) -> None:
        self._progress.clear()
        super().done(tally)

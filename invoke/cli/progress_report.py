"""The report of a line or batch at a terminal: text, with a progress bar while pictures are made."""

from typing import TextIO

from invoke.cli.reports import ON_THE_WAY, Tally, TextReport
from invoke.errors import InvokeError
from invoke.events import Downloading, Event, Finished, Loaded, Loading, Note, Postprocessing, Saved, Started, Step
from invoke.language.launch_options import Preview
from invoke.language.plan import Plan
from invoke.shell.progress import Progress
from invoke.shell.terminal import Terminal
from invoke.signals import running_time
from invoke.text import counted
from invoke.workers.messages import Hello


class WatchedReport(TextReport):
    """A TextReport whose `err` is a terminal."""

    def __init__(self, out: TextIO, err: TextIO, *, single: bool, preview: Preview = "off") -> None:
        super().__init__(out, err, quiet=False, single=single)
        self._terminal = Terminal(out, err, preview)
        self.shows_pictures = self._terminal.shows_pictures
        self._progress = Progress(self._terminal, 1)
        self._workers: set[int] = set()
        """Workers that are running; empty if the program's own engine makes the pictures."""
        self._planned = self._ended = 0
        self._began = running_time()

    def worker(self, worker: int, state: str, hello: Hello | None, reason: str) -> None:
        with self._progress.above():
            super().worker(worker, state, hello, reason)
        if not self._workers and not self.made:
            self._began = running_time()
        (self._workers.add if state == "up" else self._workers.discard)(worker)
        self._show_workers()

    def _show_workers(self) -> None:
        """One bar for all pictures: `17 of 82 · 2 workers · 1.8/s`."""
        more = "+" if self.lines and self._ended < self.lines else ""
        rate = self.made / max(0.1, running_time() - self._began)
        workers = counted(len(self._workers), "worker")
        self._progress.wait(f"{self.made} of {self._planned}{more} · {workers} · {rate:.1f}/s", self._began)

    def plan(self, line: int, plan: Plan) -> None:
        self._planned += plan.count - len(plan.made)
        if self._workers:
            with self._progress.above():
                super().plan(line, plan)
            return
        super().plan(line, plan)
        self._progress = Progress(self._terminal, plan.count - len(plan.made))

    def event(self, line: int, event: Event, *, picture: int | None = None, worker: int | None = None) -> None:
        if worker is not None:
            if isinstance(event, Saved) and event.kind not in ON_THE_WAY:
                with self._progress.above():
                    super().event(line, event)
                self._show_workers()
            elif isinstance(event, Note):
                self._progress.note(event.text)
            return
        match event:
            case Note(text):
                self._progress.note(text)
            case Downloading() | Loading() | Started() | Step() | Postprocessing():
                self._progress.show(event)
            case Saved(_, "step"):
                pass  # too many to report
            case Loaded() | Finished():
                self._progress.show(event)
                with self._progress.above():
                    super().event(line, event)
            case _:
                with self._progress.above():
                    super().event(line, event)

    def end(self, line: int, *, made: int, failed: bool, seconds: float) -> None:
        self._ended += 1

    def error(self, line: int, error: InvokeError) -> None:
        self._progress.clear()
        super().error(line, error)

    def warn(self, line: int, text: str) -> None:
        self._progress.clear()
        super().warn(line, text)

    def done(self, tally: Tally) -> None:
        self._progress.clear()
        super().done(tally)

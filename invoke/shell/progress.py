"""A bar that counts the denoiser's real calls, with the time that is left. Gone when the picture is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invoke.events import Event, Fetching, Finished, Loaded, Loading, Started, Step, Wanted
from invoke.shell.terminal import Terminal

if TYPE_CHECKING:
    from rich import progress

STOPPING = "stopping after this step (Ctrl-C again gives the engine up)"


class Progress:
    """The bar of a line with `count` pictures. On a terminal that cannot draw a line over it shows nothing."""

    def __init__(self, terminal: Terminal, count: int) -> None:
        self._terminal = terminal
        self._count = count
        self._index = 0
        self._bar: progress.Progress | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def wait(self, state: str) -> None:
        """Before the first event: what the engine is busy with."""
        self._draw(state)

    def show(self, event: Event) -> None:
        match event:
            case Wanted():
                self.clear()
            case Fetching(model, _, 0):
                self._draw(f"asking the hub about {model}")
            case Fetching(model, done, total):
                self._draw_bytes(f"fetching {model}", done * 1e6, total * 1e6)
            case Loading(model):
                self._draw(f"loading {model}")
            case Started(_, _, total):
                self._index += 1
                place = f"picture {self._index} of {self._count}" if self._count > 1 else "picture"
                self._draw(place, total)
            case Step(index) if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=index)
            case Loaded() | Finished():
                self.clear()

    def note(self, text: str) -> None:
        """Say something above the bar."""
        with self.above():
            self._terminal.note(text)

    @contextmanager
    def above(self) -> Iterator[None]:
        """What is said meanwhile stands above the bar."""
        if self._bar is not None:
            self._bar.stop()
        yield
        if self._bar is not None:
            self._bar.start()

    def stopping(self) -> None:
        """The user has asked to stop; the running step goes on."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], description=STOPPING)
        else:
            self._terminal.say(STOPPING)

    def _draw(self, text: str, total: int | None = None) -> None:
        self.clear()
        if self._terminal.moves:
            self._bar = _bar(self._terminal, counted=total is not None)
            self._bar.add_task(text, total=total)
            self._bar.start()

    def _draw_bytes(self, text: str, done: float, total: float) -> None:
        if self._bar is None or self._bar.tasks[0].description != text:
            self.clear()
            if not self._terminal.moves:
                return
            self._bar = _byte_bar(self._terminal)
            self._bar.add_task(text, total=total, completed=int(done))
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=int(done))

    def clear(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _byte_bar(terminal: Terminal) -> progress.Progress:
    from rich import progress

    return _progress(terminal, progress.DownloadColumn(), progress.TimeRemainingColumn(compact=True))


def _bar(terminal: Terminal, *, counted: bool) -> progress.Progress:
    from rich import progress

    if counted:
        return _progress(terminal, progress.MofNCompleteColumn(), progress.TimeRemainingColumn(compact=True))
    return _progress(terminal, progress.TimeElapsedColumn())


def _progress(terminal: Terminal, *columns: progress.ProgressColumn) -> progress.Progress:
    from rich import progress
    from rich.console import Console

    first = progress.TextColumn("{task.description}", markup=False), progress.BarColumn()
    return progress.Progress(
        *first,
        *columns,
        console=Console(file=terminal.err),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )

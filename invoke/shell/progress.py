"""A bar that counts the denoiser's real calls, with the time that is left, and above it the picture on its way.

The bar is gone when the picture is there; the picture stays, small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from invoke.events import Downloading, DownloadRequired, Event, Finished, Loaded, Loading, Postprocessing, Started, Step
from invoke.shell.previews.frame import Frame
from invoke.shell.terminal import Terminal

if TYPE_CHECKING:
    from rich import progress


PICTURES_A_SECOND = 3
STOPPING = "stopping after this step (Ctrl-C again gives the engine up)"


class Progress:
    """The bar of a line with `count` pictures. On a terminal that cannot draw a line over it shows nothing."""

    def __init__(self, terminal: Terminal, count: int, clock: Callable[[], float] = monotonic) -> None:
        self._terminal, self._clock = terminal, clock
        self._frame = Frame(terminal.err, terminal.pictures, terminal.size)
        self._shown = float("-inf")
        """When a picture on its way was drawn."""
        self._count = count
        self._begun = self._finished = self._step = 0
        """Pictures, pictures, and the newest step of those that are not finished."""
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
            case DownloadRequired():
                self.clear()
            case Downloading(model, _, 0):
                self._draw(f"asking the hub about {model}")
            case Downloading(model, done, total):
                self._draw_bytes(f"fetching {model}", done * 1e6, total * 1e6)
            case Loading(model):
                self._draw(f"loading {model}")
            case Started(_, _, total):
                self._begun, self._step = self._begun + 1, -1
                self._draw(self._place(), total)
            case Step(index, _, _, image) if self._bar is not None and index > self._step:
                self._step = index  # of pictures side by side, the first one is shown
                self._bar.update(self._bar.task_ids[0], completed=index)
                if image is not None and self._clock() - self._shown > 1 / PICTURES_A_SECOND:
                    self._frame.show(image)
                    self._bar.refresh()
                    self._shown = self._clock()
            case Postprocessing(picture):
                self._frame.show(picture.image)
            case Loaded():
                self._clear_bar()
            case Finished(_, image):
                self._finished += 1
                self._clear_bar()
                self._frame.finish(image)

    def note(self, text: str) -> None:
        """Say something above the bar."""
        with self.above():
            self._terminal.note(text)

    @contextmanager
    def above(self) -> Iterator[None]:
        """What is said meanwhile stands above the bar."""
        if self._bar is not None:
            self._bar.stop()
        self._frame.hide()
        yield
        self._frame.show_again()
        if self._bar is not None:
            self._bar.start()

    def stopping(self) -> None:
        """The user has asked to stop; the running step goes on."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], description=STOPPING)
        else:
            with self.above():
                self._terminal.say(STOPPING)

    def _place(self) -> str:
        """Which pictures are being made."""
        if self._count == 1:
            return "picture"
        if self._begun - self._finished > 1:
            return f"pictures {self._finished + 1} to {self._begun} of {self._count}"
        return f"picture {self._begun} of {self._count}"

    def _draw(self, text: str, total: int | None = None) -> None:
        if total is None and self._says(text):
            return  # its clock goes on
        self._clear_bar()
        if self._terminal.moves:
            self._bar = _bar(self._terminal, counted=total is not None)
            self._bar.add_task(text, total=total)
            self._bar.start()

    def _draw_bytes(self, text: str, done: float, total: float) -> None:
        if not self._says(text):
            self._clear_bar()
            if not self._terminal.moves:
                return
            self._bar = _byte_bar(self._terminal)
            self._bar.add_task(text, total=total, completed=int(done))
            self._bar.start()
        assert self._bar is not None
        self._bar.update(self._bar.task_ids[0], completed=int(done))

    def _says(self, text: str) -> bool:
        return self._bar is not None and self._bar.tasks[0].description == text

    def clear(self) -> None:
        """Take the bar away, and a picture that is not finished."""
        self._clear_bar()
        self._frame.hide()

    def _clear_bar(self) -> None:
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

"""Board: the state of the running line, updated by events, read for drawing. Thread-safe, independent of terminals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from invoke.events import (
    Downloading,
    DownloadRequired,
    Event,
    Finished,
    Loaded,
    Loading,
    Pixels,
    Postprocessing,
    Started,
    Step,
)
from invoke.signals import running_time
from invoke.text import cells, duration, fitting

FRAMES_A_SECOND = 4
PICTURES_A_SECOND = 3
STOPPING = "stopping after this step (Ctrl-C again restarts the engine)"
_FULL, _HALF, _EMPTY = "━", "╸", "─"
_LONGEST_BAR, _SHORTEST_BAR = 40, 5


@dataclass(frozen=True, slots=True)
class Status:
    """The status row: what is running, its progress, and since when."""

    text: str
    done: float = 0.0
    total: float | None = None
    """None if unknown: the elapsed time is shown instead of a bar."""
    unit: str = ""
    """`MB`, or "" for steps."""
    since: float = 0.0

    def row(self, width: int, now: float, *, plain: bool = False) -> str:
        """Render the row for `width` columns: text, bar, count and time."""
        passed = max(0.0, now - self.since)
        if not self.total:
            tail = f" {duration(passed)}"
            return fitting(self.text, width - len(tail)) + tail
        done = min(self.done, self.total)
        count = f" {done:.0f}/{self.total:.0f}{self.unit and ' ' + self.unit}"
        left = f" {duration(passed * (self.total - done) / done)}" if done > 0 and passed > 1 else ""
        room = min(_LONGEST_BAR, width - cells(self.text) - len(count) - len(left) - 1)
        bar = f" {_bar(done / self.total, room, plain=plain)}" if room >= _SHORTEST_BAR else ""
        tail = f"{bar}{count}{left}"
        return fitting(self.text, width - cells(tail)) + tail


def _bar(share: float, width: int, *, plain: bool) -> str:
    halves = int(share * width * 2)
    if plain:
        return "#" * (halves // 2) + "-" * (width - halves // 2)
    return (_FULL * (halves // 2) + _HALF * (halves % 2)).ljust(width, _EMPTY)


class Board:
    """The status and preview of one engine. `changed` is called, from any thread, on updates."""

    def __init__(self, clock: Callable[[], float] = running_time) -> None:
        self._clock = clock
        self._lock = Lock()
        self.changed: Callable[[], None] = lambda: None
        self.status: Status | None = None
        self.image: Pixels | None = None
        self.version = 0
        """Version of the preview: increases with each one."""
        self._updated = self._pictured = float("-inf")
        self.begin(1)

    def begin(self, count: int) -> None:
        """Start a line with `count` pictures."""
        self._count = count
        self._begun = self._finished = 0
        self._step = -1
        self._stopping = False

    def wait(self, state: str, since: float = 0.0) -> None:
        """What is going on without an event of its own; `since` is when it began, now if not given."""
        self._set(Status(state, since=since))

    def show(self, event: Event) -> None:
        """Update the board from an event."""
        match event:
            case DownloadRequired():
                self.clear()
            case Downloading(model, _, 0):
                self._set(Status(f"asking the hub about {model}"))
            case Downloading(model, done, total):
                self._set(Status(f"downloading {model}", done, total, "MB"))
            case Loading(model):
                self._set(Status(f"loading {model}"))
            case Started(_, _, total):
                self._begun, self._step = self._begun + 1, -1
                self._set(Status(self._place(), 0, total))
            case Step(index, _, _, image) if self.status is not None and index > self._step:
                self._step = index  # of batched pictures, the first one is shown
                is_due = self._clock() - self._pictured > 1 / PICTURES_A_SECOND
                if image is not None and is_due:
                    self._picture(image)
                self._set(replace(self.status, done=index), keep=image is None or not is_due)
            case Postprocessing(picture):
                self._picture(picture.image)
            case Loaded():
                self._set(None)
            case Finished():
                self._finished += 1
                self._picture(None)
                self._set(None)

    def stopping(self) -> None:
        """Show that the line stops after the current step."""
        self._stopping = True
        self._set(Status(STOPPING))

    def clear(self) -> None:
        """Clear the status."""
        self.status = None
        self._picture(None)
        self.changed()

    def _picture(self, image: Pixels | None) -> None:
        with self._lock:
            self.image, self.version, self._pictured = image, self.version + 1, self._clock()

    def _set(self, status: Status | None, *, keep: bool = False) -> None:
        """Set the status. `keep`: only the count changed, so drawing can wait."""
        now = self._clock()
        before = self.status
        if status is not None:
            if self._stopping and status.text != STOPPING:
                return
            same = before.since if before is not None and before.text == status.text else now
            status = replace(status, since=status.since or same)
        self.status = status
        if not keep or now - self._updated >= 1 / FRAMES_A_SECOND:
            self._updated = now
            self.changed()

    def _place(self) -> str:
        """A description of the pictures that are being made."""
        if self._count == 1:
            return "picture"
        if self._begun - self._finished > 1:
            return f"pictures {self._finished + 1} to {self._begun} of {self._count}"
        return f"picture {self._begun} of {self._count}"

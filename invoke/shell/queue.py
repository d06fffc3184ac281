"""The queue: waiting lines and the running one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING, Literal

from invoke.signals import running_time

if TYPE_CHECKING:
    from invoke.language.plan import Plan
    from invoke.outputs.speeds import Speeds


@dataclass(frozen=True, slots=True)
class Promise:
    """A picture of a queued line, which does not exist yet."""

    path: str
    """A placeholder for its path."""
    seed: int
    size: tuple[int, int]
    number: int | None
    """The number of its line."""
    index: int
    """Its index among the pictures of the line."""


@dataclass(eq=False, slots=True)
class QueuedLine:
    """A line that is entered but not finished."""

    line: str
    run: Callable[[], None]
    """Runs the line. Raises InvokeError, or KeyboardInterrupt if it was stopped."""
    number: int | None = None
    """The line's number in the history."""
    plan: Plan | None = None
    """None for a command."""
    promised: tuple[Promise, ...] = ()
    """The pictures it will make that later lines may refer to."""
    state: Literal["waiting", "running"] = "waiting"
    begun: float = 0.0
    """When it began to run, by `running_time`."""

    def seconds(self, speeds: Speeds) -> float | None:
        """How long it will take from now on, at the `speeds` of the last pictures; None if unknown."""
        if self.plan is None:
            return None
        seconds = speeds.seconds(self.plan.picture(0))
        if seconds is None:
            return None
        passed = running_time() - self.begun if self.state == "running" else 0
        return max(0.0, seconds * self.plan.count - passed)


@dataclass(frozen=True, slots=True)
class ListedLine:
    """A line as `!queue` lists it (`commands.context.QueuedLine`)."""

    line: str
    number: int | None
    state: Literal["waiting", "running"]
    seconds: float | None


class Queue:
    """First in, first out, unless a line is moved. All methods are thread-safe."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: list[QueuedLine] = []
        self.running: QueuedLine | None = None
        self.paused = ""
        """Why no line is started; "" if not paused."""
        self._closed = False
        self.changed: Callable[[], None] = lambda: None
        self.stop_running: Callable[[], object] = lambda: None
        """Stops the running line."""

    def put(self, line: QueuedLine) -> None:
        with self._changed:
            self._waiting.append(line)
            self._changed.notify_all()
        self.changed()

    def put_first(self, line: QueuedLine) -> None:
        """Queue a line before all others."""
        with self._changed:
            line.state = "waiting"
            self._waiting.insert(0, line)
            self._changed.notify_all()
        self.changed()

    def take(self) -> QueuedLine | None:
        """Wait for the next line and make it the running one; None: the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._waiting and not self.paused))
            if self._closed:
                return None
            self.running = self._waiting.pop(0)
            self.running.state, self.running.begun = "running", running_time()
        self.changed()
        return self.running

    def finish(self) -> None:
        """The running line is done."""
        with self._changed:
            self.running = None
            self._changed.notify_all()
        self.changed()

    def cancel_number(self, number: int) -> int:
        """Remove the lines with this number, and stop the running one if it has it; returns how many."""
        return self._cancel(lambda line: line.number == number)

    def cancel_last(self) -> int:
        """Cancel the line entered last; returns how many lines were cancelled."""
        last = self.lines[-1:]
        return self._cancel(lambda line: line in last)

    def cancel_all(self) -> int:
        return self._cancel(lambda line: True)

    def _cancel(self, is_meant: Callable[[QueuedLine], bool]) -> int:
        with self._changed:
            kept = [line for line in self._waiting if not is_meant(line)]
            count, self._waiting = len(self._waiting) - len(kept), kept
            stops = self.running is not None and is_meant(self.running)
        if stops:
            self.stop_running()
        self.changed()
        return count + stops

    def move_first(self, number: int) -> bool:
        """Move the waiting line with this number to the front; returns whether there is one."""
        with self._changed:
            chosen = [line for line in self._waiting if line.number == number]
            self._waiting = chosen + [line for line in self._waiting if line not in chosen]
        self.changed()
        return bool(chosen)

    def pause(self, why: str = "paused") -> None:
        """Start no line until `resume`; the running one continues."""
        with self._changed:
            self.paused = why
        self.changed()

    def resume(self) -> None:
        with self._changed:
            self.paused = ""
            self._changed.notify_all()
        self.changed()

    def close(self) -> None:
        """Close the queue: no further line is taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def waiting(self) -> tuple[QueuedLine, ...]:
        with self._changed:
            return tuple(self._waiting)

    @property
    def lines(self) -> tuple[QueuedLine, ...]:
        """All unfinished lines, in order."""
        with self._changed:
            return (*([self.running] if self.running else []), *self._waiting)

    def listed(self) -> tuple[ListedLine, ...]:
        from invoke.outputs.speeds import Speeds

        speeds = Speeds()
        return tuple(ListedLine(each.line, each.number, each.state, each.seconds(speeds)) for each in self.lines)

    @property
    def is_empty(self) -> bool:
        with self._changed:
            return self.running is None and not self._waiting

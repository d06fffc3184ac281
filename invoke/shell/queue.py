"""The lines that wait for the engine, and the one that runs."""

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
    """A picture that is not made yet."""

    path: str
    """What it is called until it has a path."""
    seed: int
    size: tuple[int, int]
    number: int | None
    """Of its line."""
    index: int
    """Among those of its line."""


@dataclass(eq=False, slots=True)
class QueuedLine:
    """A line that was entered and is not finished."""

    line: str
    run: Callable[[], None]
    """Does what the line says. Raises InvokeError, or KeyboardInterrupt where it was stopped."""
    number: int | None = None
    """Of the line in the history."""
    plan: Plan | None = None
    """None for a command."""
    promised: tuple[Promise, ...] = ()
    """The pictures that it will make, as far as later lines may start from them."""
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
    """First in, first out, unless a line is moved. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: list[QueuedLine] = []
        self.running: QueuedLine | None = None
        self.paused = ""
        """Why no line is begun; "" where one is as soon as it can be."""
        self._closed = False
        self.changed: Callable[[], None] = lambda: None
        self.stop_running: Callable[[], object] = lambda: None
        """Asks the running line to stop."""

    def put(self, line: QueuedLine) -> None:
        with self._changed:
            self._waiting.append(line)
            self._changed.notify_all()
        self.changed()

    def put_first(self, line: QueuedLine) -> None:
        """Have the line run again, before all others."""
        with self._changed:
            line.state = "waiting"
            self._waiting.insert(0, line)
            self._changed.notify_all()
        self.changed()

    def take(self) -> QueuedLine | None:
        """Wait for the next line, which is the running one from now on; None: the queue is closed."""
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
        """Take the lines of that number out, and have the running one stop if it is one of them; how many these are."""
        return self._cancel(lambda line: line.number == number)

    def cancel_last(self) -> int:
        """The same for the line that was entered last."""
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
        """Have the waiting line of that number run next; whether there is one."""
        with self._changed:
            chosen = [line for line in self._waiting if line.number == number]
            self._waiting = chosen + [line for line in self._waiting if line not in chosen]
        self.changed()
        return bool(chosen)

    def pause(self, why: str = "paused") -> None:
        """Begin no line until `resume`; the running one goes on."""
        with self._changed:
            self.paused = why
        self.changed()

    def resume(self) -> None:
        with self._changed:
            self.paused = ""
            self._changed.notify_all()
        self.changed()

    def close(self) -> None:
        """No line is taken any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def waiting(self) -> tuple[QueuedLine, ...]:
        with self._changed:
            return tuple(self._waiting)

    @property
    def lines(self) -> tuple[QueuedLine, ...]:
        """All that are not finished, in the order in which they run."""
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

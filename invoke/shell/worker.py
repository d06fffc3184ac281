"""The thread that carries out the lines of the queue, one after another, and how Ctrl-C stops it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import RLock, Thread
from time import monotonic

from invoke import signals
from invoke.engine import Engine
from invoke.shell.queue import Queue, QueuedLine

log = logging.getLogger(__name__)


class Interrupt:
    """Ctrl-C, from the thread of the keys to the one that works (`watch.Stoppable`).

    The first asks to stop after the running step; where no step runs, it ends the waiting at once. The second kills
    the engine.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = monotonic) -> None:
        self._engine, self._clock = engine, clock
        self._lock = RLock()
        self._is_running = False
        self._pressed = float("-inf")
        self.ended = float("-inf")
        """When a line ended that Ctrl-C had stopped."""
        self.asked = self.killed = self.drawing = False
        self._announce: Callable[[], None] = lambda: None
        self._killing: Thread | None = None
        """Ends the engine."""

    def begin(self) -> None:
        """A line runs from now on, and Ctrl-C means it."""
        with self._lock:
            self.asked = self.killed = self.drawing = False
            self._pressed = float("-inf")
            self._is_running = True

    def end(self) -> None:
        with self._lock:
            if self.asked:
                self.ended = self._clock()
            self._is_running = self.asked = False
            killing, self._killing = self._killing, None
        if killing is not None:
            killing.join()  # so that it never hits the next line

    def watching(self, announce: Callable[[], None]) -> Interrupt:
        """While pictures are made, `announce` says that the running step goes on."""
        self._announce = announce
        return self

    def __enter__(self) -> Interrupt:
        self.check()
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._announce = lambda: None
            self.drawing = False

    def stop(self) -> None:
        """Have the running line stop after its step; asked again, it is no second Ctrl-C."""
        with self._lock:
            if self._is_running and not self.asked:
                self.press()
                self._pressed = float("-inf")

    def check(self) -> None:
        """Raise KeyboardInterrupt where Ctrl-C has come and no step is running that should end first."""
        if self.asked and not self.drawing:
            raise KeyboardInterrupt

    def press(self) -> bool:
        """Ctrl-C. False where no line runs."""
        with self._lock:
            if not self._is_running:
                return False
            again = self.asked and self._pressed > float("-inf")
            self.asked, self._pressed = True, self._clock()
            if not self.drawing:
                return True  # `check` ends what the line waits for
            if not again:
                self._announce()
            elif not self.killed:
                self.killed = True
                self._killing = Thread(target=self._engine.kill, name="kill", daemon=True)
                self._killing.start()
            return True


class Worker(Thread):
    """Takes lines and runs them. `perform` reports what goes wrong."""

    def __init__(self, queue: Queue, interrupt: Interrupt, perform: Callable[[QueuedLine], None]) -> None:
        super().__init__(name="lines", daemon=True)
        self._queue, self._interrupt, self._perform = queue, interrupt, perform

    def run(self) -> None:
        while (line := self._queue.take()) is not None:
            self._interrupt.begin()
            try:
                with signals.stoppable(self._interrupt.check):
                    self._perform(line)
            except KeyboardInterrupt:
                pass  # reported by whoever watched
            except BaseException:  # our mistake; the lines that wait are not lost for it
                log.exception("%s", line.line)
            finally:
                self._interrupt.end()
                self._queue.finish()

"""Ctrl-C: what it stops, and in which order. The first stops a line after its running step, the second its engine.

At the default prompt Ctrl-C is a key (`desk.Desk`), and the queue's thread works; at the plain one it is SIGINT, and
the same thread reads and works. What happens then is the same: `Interrupt`.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock, Thread
from time import monotonic

from invoke import signals
from invoke.engine import Engine

LEAVE_HINT = "Ctrl-D or !quit leaves"
"""What Ctrl-C says where there is nothing to stop."""


class Interrupt:
    """Ctrl-C while a line runs: the first stops it after the running step, the second kills the engine.

    Where no step runs, the first ends at once whatever the line waits for. `press` may be called by another thread
    than the one that works, which learns of it where it calls `check`.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = monotonic) -> None:
        self._engine, self._clock = engine, clock
        self._lock = RLock()
        self._is_running = False
        self._pressed = float("-inf")
        self.ended = float("-inf")
        """When a line ended that Ctrl-C had stopped."""
        self.asked = self.killed = False
        """Whether the line is to stop; whether the engine was killed for it."""
        self.drawing = False
        """Whether a step may be running; set by the watcher of the events."""
        self._announce: Callable[[], None] = lambda: None
        self._killing: Thread | None = None

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
        self._wait_for_kill()

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
        self._wait_for_kill()

    def stop(self) -> None:
        """Stop the running line after its step. Calling this twice does not count as a second Ctrl-C."""
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

    def _wait_for_kill(self) -> None:
        """So that it never hits the engine of the next line."""
        with self._lock:
            killing, self._killing = self._killing, None
        if killing is not None:
            killing.join()


@contextmanager
def at_sigint(engine: Engine, announce: Callable[[], None]) -> Iterator[Interrupt]:
    """Within the block, while a line runs, SIGINT presses an Interrupt of its own (see `Interrupt.watching`)."""
    interrupt, presses = Interrupt(engine), 0

    def press(times: int) -> None:
        nonlocal presses
        while presses < times:
            presses += 1
            interrupt.press()
        interrupt.check()

    interrupt.begin()
    try:
        with signals.pressed(press), interrupt.watching(announce):
            yield interrupt
    finally:
        interrupt.end()


@contextmanager
def leaving_at_signals(loop: Callable[[], AbstractEventLoop | None], leave: Callable[[], None]) -> Iterator[None]:
    """While an application of prompt_toolkit runs, SIGTERM and SIGHUP call `leave`, as one of its own events."""

    def wake() -> None:
        if (running := loop()) is not None:
            running.call_soon_threadsafe(leave)

    with signals.on_end(wake):
        yield

"""Ctrl-C: the first stops a line after the current step, the second kills its engine.

At the prompt with a queue Ctrl-C is a key (see `queue_prompt.py`), and lines run in the queue's thread; at the plain
prompt it is SIGINT, and lines run in the main thread. Both use `Interrupt`; `watch.py` ends the line after the step.
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
"""The message of Ctrl-C if there is nothing to stop."""


class Interrupt:
    """Ctrl-C while a line runs: the first stops it after the current step, the second kills the engine.

    If no step is running, the first ends the line at once. `press` may be called from another thread; the working
    thread notices it when it calls `check`.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = monotonic) -> None:
        self._engine, self._clock = engine, clock
        self._lock = RLock()
        self._is_running = False
        self._pressed = float("-inf")
        self.ended = float("-inf")
        """When the last line stopped by Ctrl-C ended."""
        self.asked = self.killed = False
        """Whether the line should stop; whether the engine was killed."""
        self.drawing = False
        """Whether a step may be running; set by the watcher of the events."""
        self._announce: Callable[[], None] = lambda: None
        self._killing: Thread | None = None

    def begin(self) -> None:
        """A line starts running."""
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
        """Set `announce`, which tells the user that the current step still finishes."""
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
        """Raise KeyboardInterrupt if Ctrl-C was pressed and no step needs to finish first."""
        if self.asked and not self.drawing:
            raise KeyboardInterrupt

    def press(self) -> bool:
        """Handle Ctrl-C; returns False if no line is running."""
        with self._lock:
            if not self._is_running:
                return False
            again = self.asked and self._pressed > float("-inf")
            self.asked, self._pressed = True, self._clock()
            if not self.drawing:
                return True  # `check` ends the line
            if not again:
                self._announce()
            elif not self.killed:
                self.killed = True
                self._killing = Thread(target=self._engine.kill, name="kill", daemon=True)
                self._killing.start()
            return True

    def _wait_for_kill(self) -> None:
        """Wait, so that the kill cannot hit the engine of the next line."""
        with self._lock:
            killing, self._killing = self._killing, None
        if killing is not None:
            killing.join()


@contextmanager
def at_sigint(engine: Engine, announce: Callable[[], None]) -> Iterator[Interrupt]:
    """Context in which SIGINT presses a new Interrupt while a line runs (see `Interrupt.watching`)."""
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
    """Context in which SIGTERM and SIGHUP call `leave` in the event loop of a prompt_toolkit application."""

    def wake() -> None:
        if (running := loop()) is not None:
            running.call_soon_threadsafe(leave)

    with signals.on_end(wake):
        yield

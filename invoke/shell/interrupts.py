"""The keyboard while the program works: typed keys are kept for the next prompt, and Ctrl-C stops the work."""

import os
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

from invoke import signals


@contextmanager
def held_keys(stream: TextIO | None = None) -> Iterator[None]:
    """Keep keys that are pressed outside a prompt unseen and unchanged, for the next one. Ctrl-C stays Ctrl-C."""
    try:
        import termios

        descriptor = (stream or sys.stdin).fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, OSError, ValueError, termios.error):  # no terminal, or none of this kind
        yield
        return
    held = [*before[:6], [*before[6]]]
    held[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
    held[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    stopped: list[list[Any]] = []

    def leave() -> None:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)

    def stop() -> None:
        stopped[:] = [termios.tcgetattr(descriptor)]
        leave()

    def go_on() -> None:
        if os.tcgetpgrp(descriptor) == os.getpgrp():  # in the background the terminal is somebody else's
            termios.tcsetattr(descriptor, termios.TCSANOW, stopped.pop() if stopped else held)

    termios.tcsetattr(descriptor, termios.TCSANOW, held)
    try:
        with signals.at_once(leave), signals.around_stop(stop, go_on):
            yield
    finally:
        leave()


@contextmanager
def leaving_at_signals(loop: Callable[[], AbstractEventLoop | None], leave: Callable[[], None]) -> Iterator[None]:
    """While an application of prompt_toolkit runs, SIGTERM and SIGHUP call `leave`, as one of its own events."""

    def wake() -> None:
        if (running := loop()) is not None:
            running.call_soon_threadsafe(leave)

    with signals.on_end(wake):
        yield


class GivenUp(KeyboardInterrupt):
    """The user does not want to wait for the running step."""


class Stop:
    """Ctrl-C while pictures are made: the first asks to stop when the running step is done.

    With no step running it raises KeyboardInterrupt where the next event is waited for, and GivenUp when it is
    pressed again.
    """

    def __init__(self, announce: Callable[[], None]) -> None:
        self.asked = self.killed = False
        self.drawing = False
        """Whether a step may be running; set by the watcher of the events."""
        self._announce = announce
        self._block = ExitStack()

    def __enter__(self) -> "Stop":
        self._block.enter_context(signals.pressed(self._pressed))
        return self

    def __exit__(self, *error: object) -> None:
        self._block.close()

    def _pressed(self, times: int) -> None:
        before, self.asked = self.asked, True
        if not self.drawing:
            raise KeyboardInterrupt
        if times > 1:
            raise GivenUp
        if not before:
            self._announce()

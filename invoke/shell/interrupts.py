"""The keyboard while the program works: what is typed waits for the next prompt, and Ctrl-C stops the work."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import TextIO

AGAIN = 2.0
"""Seconds within which a second Ctrl-C does not wait for the running step."""


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
    termios.tcsetattr(descriptor, termios.TCSANOW, held)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


class GivenUp(KeyboardInterrupt):
    """The user does not want to wait for the running step."""


class Stop:
    """Ctrl-C while pictures are made: the first asks to stop when the running step is done.

    With no step running it raises KeyboardInterrupt at once, and GivenUp when pressed again within two seconds.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self.asked = self.killed = False
        self.drawing = False
        """Whether a step may be running; said by whoever watches the events."""
        self._tell = tell
        self._last = float("-inf")

    def __enter__(self) -> "Stop":
        self._before = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _pressed(self, signum: int, frame: FrameType | None) -> None:
        now = monotonic()
        if not self.drawing:
            self.asked = True  # the exception is lost where it meets Python in a callback of its own
            raise KeyboardInterrupt
        if now - self._last < AGAIN:
            raise GivenUp
        self.asked, self._last = True, now
        self._tell()

"""Keys that are typed while the program works: kept unseen, for the next prompt."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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

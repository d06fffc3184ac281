"""Holds keys that are typed while the program works, without echo, for the next prompt."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from invoke import signals


@contextmanager
def held_keys(stream: TextIO | None = None) -> Iterator[None]:
    """Context in which keys are held for the next prompt, without echo. Ctrl-C still works."""
    try:
        import termios

        descriptor = (stream or sys.stdin).fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, OSError, ValueError, termios.error):  # no terminal, or an unsupported one
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
        if os.tcgetpgrp(descriptor) == os.getpgrp():  # in the background, the terminal belongs to another program
            termios.tcsetattr(descriptor, termios.TCSANOW, stopped.pop() if stopped else held)

    termios.tcsetattr(descriptor, termios.TCSANOW, held)
    try:
        with signals.at_once(leave), signals.around_stop(stop, go_on):
            yield
    finally:
        leave()

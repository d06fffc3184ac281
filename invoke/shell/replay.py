"""`!replay`: the lines of a file, now."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.command.commands import argument
from invoke.command.draft import Bang, Nothing
from invoke.command.parse import read
from invoke.errors import CommandError
from invoke.text import read_lines
from invoke.wording import counted

if TYPE_CHECKING:
    from invoke.shell.sitting import Sitting


def replay(sitting: Sitting, bang: Bang) -> None:
    """Run every line of the file; a bad one is said and the next is run. Raises CommandError."""
    path = Path(os.path.expanduser(argument(bang, "a file of lines")))  # noqa: PTH111 - an unknown ~user is a name
    sitting.replaying = True
    failed = 0
    try:
        with os.fdopen(_open_regular(path, bang.column), "rb") as file:
            lines = read_lines(file)
            try:
                for number, line in enumerate(lines, start=1):
                    failed += not _replay_line(sitting, line, number)
                    if sitting.leaving:
                        break
            except KeyboardInterrupt:
                _say_what_is_left(sitting, lines, path)
                raise
    finally:
        sitting.replaying = sitting.leaving = False
    if failed:
        sitting.terminal.say(f"{counted(failed, 'line')} of {path} failed")


def _replay_line(sitting: Sitting, line: str | CommandError, number: int) -> bool:
    """False when it failed."""
    if isinstance(line, CommandError):
        sitting.terminal.say(f"line {number}")
        sitting.terminal.error(line, "")
        return False
    if line.strip():
        sitting.terminal.say(f"line {number}: {line}")
    return sitting.attempt(line) is None


def _say_what_is_left(sitting: Sitting, lines: Iterator[str | CommandError], path: Path) -> None:
    left = sum(map(_asks_for_something, lines))
    if left:
        sitting.terminal.say(f"{counted(left, 'line')} of {path} left undone")


def _asks_for_something(line: str | CommandError) -> bool:
    try:
        return isinstance(line, CommandError) or not isinstance(read(line), Nothing)
    except CommandError:
        return True


def _open_regular(path: Path, column: int) -> int:
    """A descriptor of the file. Raises CommandError for whatever is no regular file, without waiting for it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        why = "is no regular file"
    except (OSError, ValueError) as error:
        why = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise CommandError(f"{path}: {why}", code="no_lines", column=column)

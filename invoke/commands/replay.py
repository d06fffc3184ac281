"""`!replay`: runs the lines of a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from invoke.commands.context import PromptContext
from invoke.errors import CommandError
from invoke.language.command_table import argument
from invoke.language.parse import CommandCall, Nothing, read
from invoke.paths import expanded
from invoke.text import counted, read_lines


def replay(context: PromptContext, call: CommandCall) -> None:
    """Run every line of the file; errors are reported, and the next line is run. Raises CommandError."""
    path = expanded(argument(call, "a file of lines"))
    failed = 0
    with context.replaying(), os.fdopen(_open_regular(path, call.column), "rb") as file:
        lines = read_lines(file)
        try:
            for number, line in enumerate(lines, start=1):
                failed += not _replay_line(context, line, number)
                if context.is_leaving:
                    break
        except KeyboardInterrupt:
            _report_remaining(context, lines, path)
            raise
    if failed:
        context.say(f"{counted(failed, 'line')} of {path} failed")


def _replay_line(context: PromptContext, line: str | CommandError, number: int) -> bool:
    """Run a line; False if it failed."""
    if isinstance(line, CommandError):
        context.say(f"line {number}")
        context.fail(line)
        return False
    if line.strip():
        context.say(f"line {number}: {line}")
    return context.replay(line)


def _report_remaining(context: PromptContext, lines: Iterator[str | CommandError], path: Path) -> None:
    left = sum(map(_asks_for_something, lines))
    if left:
        context.say(f"{counted(left, 'line')} of {path} not run")


def _asks_for_something(line: str | CommandError) -> bool:
    try:
        return isinstance(line, CommandError) or not isinstance(read(line), Nothing)
    except CommandError:
        return True


def _open_regular(path: Path, column: int) -> int:
    """Open a regular file without blocking; return its descriptor. Raises CommandError for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        why = "is not a regular file"
    except (OSError, ValueError) as error:
        why = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise CommandError(f"{path}: {why}", code="no_lines", column=column)

"""Finds the first mistake in a line that is being typed.

Unfinished text is not a mistake: the word at the cursor, a switch without its value yet, brackets that may still be
closed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from invoke.errors import InvokeError
from invoke.language.command_table import find, in_place
from invoke.language.complete.cursor import belongs, end_with_value, part_start, split, waiting
from invoke.language.parse import THEN, CommandCall, Draft, parse, read
from invoke.language.resolve.sweep import PRESET_AXIS, choose, combinations, read_axes
from invoke.language.set_reset import read_reset
from invoke.language.tokens import SPACES

_MAY_GROW_RIGHT = {"bad_prompt", "bad_factor", "bare_command", "no_prompt"}
"""Codes of errors that further typing can resolve."""

Resolve = Callable[[Draft], object]
"""Resolves a draft; raises InvokeError if that is not possible."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A mistake and its place in the line; `start` equals `end` if no single word is the cause."""

    start: int
    end: int
    message: str

    def is_typed_at(self, cursor: int) -> bool:
        """Whether the cursor is inside or directly after the word, which may still change."""
        return self.start < cursor <= self.end


def diagnose(line: str, cursor: int, resolve: Resolve) -> Diagnostic | None:
    """The first error in the finished part of `line`."""
    text = finished(line, cursor)
    try:
        match read(text):
            case CommandCall() as call:
                _check_command(call)
            case Draft() as draft:
                last = max(draft.columns.values(), default=part_start(text))
                _check_line(draft, resolve, growing_from=last if len(text) <= cursor else len(text))
    except InvokeError as error:
        if error.column is None:
            return Diagnostic(0, 0, error.message)
        return Diagnostic(error.column, end_with_value(text, error.column), error.message)
    return None


def finished(line: str, cursor: int) -> str:
    """`line` without what is being typed at its end; the whole line if there is text after the cursor."""
    if line[cursor:].strip(SPACES):
        return line
    before = line[:cursor]
    start = part_start(before)
    words, last = split(before, start)
    end = last.start
    expecting = waiting(before, words)
    if expecting is not None:
        row, taken = expecting
        if belongs(row, taken, last.text):
            end = words[-1 - len(taken)].start
    if start and not before[start:end].strip(SPACES):
        end = before.rindex(THEN, 0, start)
    return before[:end]


def _check_command(call: CommandCall) -> None:
    """Raise CommandError for an unknown command, or switches that cannot be read."""
    row = find(call)
    if row.argument == "defaults" and read_reset(in_place(call)) is not None:
        return
    if row.argument in ("switches", "defaults") or row.switches:
        parse(in_place(call))


def _check_line(draft: Draft, resolve: Resolve, *, growing_from: int) -> None:
    """Raise InvokeError for mistakes before `growing_from`; later text may still grow: `a cat.swap(big`, `-U 3 0`."""
    try:
        resolve(_narrowed(draft))
    except InvokeError as error:
        if error.code not in _MAY_GROW_RIGHT or error.column is None or error.column < growing_from:
            raise


def _narrowed(draft: Draft) -> Draft:
    """Reduce `draft` to its first picture (of a folder, a sweep, or `-n`). Raises InvokeError as resolving does."""
    for first in combinations(read_axes(draft, draft.switches)):
        draft = choose(draft, {name: value for name, value in first.items() if name != PRESET_AXIS})
        break
    single: dict[str, Any] = dict(draft.switches)
    single.pop("sweep", None)
    single.pop("iterations", None)
    return replace(draft, switches=single, before=_narrowed(draft.before) if draft.before else None)

"""What was typed, and no more: a draft has gaps, a request has none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Draft:
    """One line, read. `switches` maps long names to values and holds only what was typed."""

    line: str
    prompt: str | None
    """None when the line has no words for it."""
    switches: Mapping[str, Any]
    columns: Mapping[str, int]
    """Where in the line each switch stands, for errors that are found later."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Nothing:
    """An empty line or a comment."""


@dataclass(frozen=True, slots=True)
class Quit:
    """`q`, `quit` or `exit`, alone."""


@dataclass(frozen=True, slots=True)
class Bang:
    """`!name rest`: a command of the shell."""

    name: str
    rest: str
    column: int
    """Where `rest` begins."""

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
    """Where in the line each switch stands, for errors that are found later; `control 2`: the second of its kind."""
    notes: tuple[str, ...] = ()
    before: "Draft | None" = None
    """The part before, in a chain (`a |> b`): this one starts from its picture."""

    @property
    def parts(self) -> "tuple[Draft, ...]":
        """All of the chain, in order."""
        return (*(self.before.parts if self.before else ()), self)

    @property
    def said(self) -> Mapping[str, Any]:
        """What any part of the chain says. Of the output, it holds for all of them."""
        return {name: value for part in self.parts for name, value in part.switches.items()}


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

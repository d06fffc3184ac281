"""SwitchType: parse, render, suggest, describe; and how numbers are spelled."""

import re
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from invoke.text import render_number

Words = tuple[str, ...]


class SwitchType(Protocol):
    """A value's whole life. `needs` words must follow the switch; `takes` says whether one more belongs to it."""

    needs: int

    def takes(self, taken: Words, word: str) -> bool:
        """Whether `word` belongs to the value as well, after `taken`."""
        ...

    def glues(self, text: str) -> bool:
        """Whether `text` may stand glued to a short name, as in `-s10`."""
        ...

    def parse(self, words: Words) -> Any:
        """The value that `words` spell. Raises ValueError."""
        ...

    def render(self, value: Any) -> Words:
        """Words that `parse` reads as `value` again."""
        ...

    def suggest(self) -> Mapping[str, str]:
        """Values that can be listed, each with a word about it."""
        ...

    def describe(self) -> str:
        """The value in a help table: `0..1`, `path`."""
        ...


class Usual:
    """What most types share: one word, never glued, nothing to list."""

    needs = 1

    def takes(self, taken: Words, word: str) -> bool:
        return False

    def glues(self, text: str) -> bool:
        return False

    def suggest(self) -> Mapping[str, str]:
        return {}

    def render(self, value: Any) -> Words:
        return (str(value),)


_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST = 40
"""Letters of a number."""
_N = TypeVar("_N", int, float)


def looks_like_number(text: str) -> bool:
    """Whether `text` spells a number from its first to its last letter."""
    return len(text) <= _LONGEST and _NUMBER.fullmatch(text) is not None


def whole(text: str) -> int:
    """The whole number that `text` spells. Raises ValueError."""
    if len(text) > _LONGEST or not _INTEGER.fullmatch(text):
        raise ValueError(f"must be a whole number, not '{text}'")
    return int(text)


def finite(text: str) -> float:
    """The number that `text` spells. Raises ValueError."""
    if not looks_like_number(text):
        raise ValueError(f"must be a number, not '{text}'")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"must be a finite number, not '{text}'")
    return value + 0.0  # −0 is 0


def bounded(value: _N, low: float, high: float | None, text: str) -> _N:
    """`value`, which was spelled as `text`. Raises ValueError where it is too low or too high."""
    if value < low or (high is not None and value > high):
        allowed = f"between {render_number(low)} and {render_number(high)}" if high is not None else ""
        raise ValueError(f"must be {allowed or f'at least {render_number(low)}'}, not {text}")
    return value


def shown_range(low: float, high: float | None) -> str:
    """`0..1`, `≥ 0`."""
    return f"{render_number(low)}..{render_number(high)}" if high is not None else f"≥ {render_number(low)}"

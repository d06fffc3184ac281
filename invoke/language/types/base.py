"""SwitchType, the protocol for kinds of switch values; helpers for reading numbers."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from invoke.language.tokens import INVISIBLE
from invoke.text import render_number

Words = tuple[str, ...]


class SwitchType(Protocol):
    """A kind of switch value: reading, writing, completing and describing it.

    `needs` is the number of words that must follow the switch; `takes` says whether one more belongs to it.
    """

    needs: int

    def takes(self, taken: Words, word: str) -> bool:
        """Whether `word` also belongs to the value, after `taken`."""
        ...

    def glues(self, text: str) -> bool:
        """Whether `text` may follow a short name without a space, as in `-s10`."""
        ...

    def parse(self, words: Words) -> Any:
        """Read the value from `words`. Raises ValueError."""
        ...

    def render(self, value: Any) -> Words:
        """The words that `parse` reads back as `value`."""
        ...

    def suggest(self) -> Mapping[str, str]:
        """The possible values, if they can be listed, each with a short description."""
        ...

    def describe(self) -> str:
        """A short description for help tables: `0..1`, `path`."""
        ...


class Usual:
    """Defaults for most types: one word, never glued, nothing to list."""

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
"""Maximum length of a number, in characters."""
_N = TypeVar("_N", int, float)


def looks_like_number(text: str) -> bool:
    """Whether all of `text` is a number."""
    return len(text) <= _LONGEST and _NUMBER.fullmatch(text) is not None


def whole(text: str) -> int:
    """Read a whole number. Raises ValueError."""
    if len(text) > _LONGEST or not _INTEGER.fullmatch(text):
        raise ValueError(f"must be a whole number, not '{text}'{_in_ascii(text)}")
    return int(text)


def finite(text: str) -> float:
    """Read a finite number. Raises ValueError."""
    if not looks_like_number(text):
        raise ValueError(f"must be a number, not '{text}'{_in_ascii(text)}")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"must be a finite number, not '{text}'")
    return value + 0.0  # −0 is 0


def _in_ascii(text: str) -> str:
    """What to type for a number in other digits, with another minus sign or with invisible characters; or ""."""
    plain = "".join(
        str(unicodedata.digit(letter)) if letter.isdigit() else "-" if unicodedata.category(letter) == "Pd" else letter
        for letter in unicodedata.normalize("NFKC", text).replace("\u2212", "-")
        if letter not in INVISIBLE
    )
    return f": type {plain}" if plain != text and looks_like_number(plain) else ""


def bounded(value: _N, low: float, high: float | None, text: str) -> _N:
    """Return `value` if it is in range. Raises ValueError, quoting `text`, if not."""
    if value < low or (high is not None and value > high):
        allowed = f"between {render_number(low)} and {render_number(high)}" if high is not None else ""
        raise ValueError(f"must be {allowed or f'at least {render_number(low)}'}, not {text}")
    return value


def shown_range(low: float, high: float | None) -> str:
    """`0..1`, `≥ 0`."""
    return f"{render_number(low)}..{render_number(high)}" if high is not None else f"≥ {render_number(low)}"

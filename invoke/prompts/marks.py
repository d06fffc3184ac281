"""Tokenizes a text into marks: matching brackets and quotes, weights, and plain text.

One pass from left to right. A bracket that is never closed, or directly follows a word (`cat(s)`), is text; so is a
sign between two letters (`well-lit`) or on its own, and anything after a backslash.
"""

import re
from dataclasses import dataclass
from typing import Literal

from invoke.errors import CommandError

LARGEST = 1000.0
UP, DOWN = 1.1, 0.9
"""Factors of `+` and `-`."""

_NEXT = re.compile(
    r"""(?P<escaped>\\[]()["+:-])
    | (?P<blank>\s+)
    | (?P<call>\.(?:swap|blend|and)\()
    | (?P<other>[(),"]|\++|-+)
    | (?P<text>(?:(?!\.(?:swap|blend|and)\()[^\\\s(),"+-])+|\\)""",
    re.VERBOSE,
)
_WEIGHT = re.compile(r"\++|-+|[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_LETTER = re.compile(r"\w")

Kind = Literal["text", "blank", "comma", "weight", "open", "close", "call"]


@dataclass(slots=True)
class Mark:
    """A token. `end` is the position after it."""

    kind: Kind
    start: int
    end: int
    text: str
    """The text; for a call, its name."""
    weight: float = 1.0
    """The factor of a weight, an opening or a closing mark."""
    partner: int = -1
    """For an opening mark or a call, the index of the closing mark."""


def read_marks(text: str, start: int, end: int) -> list[Mark]:
    """The marks of `text[start:end]`.

    Raises CommandError if a weight is too large or a call is never closed.
    """
    return _Reader(text, start, end).marks


class _Reader:
    def __init__(self, text: str, start: int, end: int) -> None:
        self.text, self.position, self.end = text, start, end
        self.marks: list[Mark] = []
        self.opened: list[int] = []
        """Indices of unclosed brackets, calls and at most one quote."""
        self.quote: int | None = None
        """The number of open marks when the quote was opened."""
        self.quotes = len(re.findall(r'(?<!\\)"', text[start:end]))
        while self.position < end:
            found = _NEXT.match(text, self.position, end)
            assert found is not None, "every letter is some mark"
            self.position = found.end()
            self._take(found)
        self._give_up(0)

    def _take(self, found: re.Match[str]) -> None:
        typed = found.group()
        match found.lastgroup:
            case "escaped":
                self._add("text", found.start(), typed[1])
            case "blank":
                self._add("blank", found.start(), " ")
            case "call":
                self._take_call(found.start(), typed[1:-1])
            case "text":
                self._add("text", found.start(), typed)
            case _ if typed == ",":
                self._add("comma", found.start(), typed)
            case _ if typed == '"':
                self._take_quote(found.start())
            case _ if typed == "(":
                self.opened.append(len(self.marks))
                self._add("text" if self._follows("text") else "open", found.start(), typed)
            case _ if typed == ")":
                self._take_closing(found.start())
            case _:
                self._take_signs(found.start(), typed)

    def _take_call(self, start: int, name: str) -> None:
        if name != "swap" and not self._follows("close", "weight"):
            self._add("text", start, f".{name}(")  # `foo.and(bar)`
            self.opened.append(len(self.marks) - 1)
            return
        self.opened.append(len(self.marks))
        self._add("call", start, name)

    def _take_quote(self, start: int) -> None:
        self.quotes -= 1
        if self.quote is not None:
            self._give_up(self.quote + 1)
            self.quote = None
            self._close(start)
        elif self.quotes:
            self.quote = len(self.opened)
            self.opened.append(len(self.marks))
            self._add("open", start, '"')
        else:
            self._add("text", start, '"')

    def _take_closing(self, start: int) -> None:
        if not self.opened or len(self.opened) - 1 == self.quote:
            self._add("text", start, ")")
        elif self.marks[self.opened[-1]].kind == "text":
            self.opened.pop()
            self._add("text", start, ")")
        else:
            self._close(start)

    def _close(self, start: int) -> None:
        """Close the mark opened last, and read the weight after it."""
        opening = self.marks[self.opened.pop()]
        opening.partner = len(self.marks)
        if opening.kind == "open" and (weight := _WEIGHT.match(self.text, self.position, self.end)):
            opening.weight = _read_weight(weight.group(), weight.start())
            self.position = weight.end()
        self._add("close", start, self.text[start], opening.weight)

    def _take_signs(self, start: int, signs: str) -> None:
        """Signs after a word are its weight, except for a single one between two letters."""
        letter_follows = _LETTER.match(self.text, self.position, self.end) is not None
        if self._follows("text") and (len(signs) > 1 or not letter_follows):
            self._add("weight", start, signs, _read_weight(signs, start))
        else:
            self._add("text", start, signs)

    def _give_up(self, height: int) -> None:
        """Marks opened above `height` are never closed, and become text."""
        while len(self.opened) > height:
            mark = self.marks[self.opened.pop()]
            if mark.kind == "call":
                raise CommandError(
                    f"this .{mark.text}( is never closed",
                    code="bad_prompt",
                    column=mark.start,
                    hint="close it with ), or write \\( for a literal bracket",
                )
            mark.kind = "text"

    def _follows(self, *kinds: Kind) -> bool:
        return bool(self.marks) and self.marks[-1].kind in kinds

    def _add(self, kind: Kind, start: int, text: str, weight: float = 1.0) -> None:
        self.marks.append(Mark(kind, start, self.position, text, weight))


def _read_weight(typed: str, column: int) -> float:
    try:
        weight = (UP if typed[0] == "+" else DOWN) ** len(typed) if typed[0] in "+-" else float(typed)
    except OverflowError:
        weight = float("inf")
    check_weight(weight, column)
    return weight


def check_weight(weight: float, column: int) -> None:
    """Raise CommandError if the absolute value is above LARGEST."""
    if abs(weight) > LARGEST:
        raise CommandError(f"a weight is at most {LARGEST:g}", code="bad_prompt", column=column)

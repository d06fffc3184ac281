"""Parses a whole text: words, `("a", "b").blend(.7, .3)`, `("a", "b").and()`, or the old `a:0.3 b:0.7`."""

import re
from collections.abc import Iterator

from invoke.errors import CommandError
from invoke.prompts.marks import Mark, check_weight, read_marks
from invoke.prompts.nodes import Blend, Conjunction, ParsedText, Words
from invoke.prompts.weighted_words import normalized, read_weights, read_words

OLD_WEIGHT = re.compile(r"(?<![0-9\\:]):(-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+))(?=\s|$)")
"""Not after a digit: `16:9` and `12:30` are text."""


def read_whole(text: str) -> ParsedText:
    """Parse `text`, which has no LoRAs or negative parts. Raises CommandError with the column."""
    if (old := _read_old_blend(text)) is not None:
        return old
    marks = read_marks(text, 0, len(text))
    first = next((index for index, mark in enumerate(marks) if mark.kind != "blank"), -1)
    if first >= 0 and marks[first].text == "(" and (partner := marks[first].partner) >= 0:
        following = marks[partner + 1] if partner + 1 < len(marks) else None
        if following is not None and following.kind == "call" and following.text != "swap":
            return _read_call(text, marks, first, following)
    return read_words(text, 0, len(text))


def _read_call(text: str, marks: list[Mark], first: int, call: Mark) -> ParsedText:
    closed = marks[call.partner]
    rest = text[closed.end :]
    if rest.strip():
        raise CommandError(
            f"nothing may follow .{call.text}()",
            code="bad_prompt",
            column=len(text) - len(rest.lstrip()),
            hint="put all words inside the quotes",
        )
    texts = tuple(_read_text(text, *place) for place in _places(marks, first))
    weights = read_weights(text, call.end, closed.start, count=len(texts), call=call.text)
    return Blend(texts, weights) if call.text == "blend" else Conjunction(texts, weights)


def _places(marks: list[Mark], first: int) -> Iterator[tuple[int, int]]:
    """Start and end of each comma-separated text of a group."""
    start, index, last = marks[first].end, first + 1, marks[first].partner
    while index < last:
        mark = marks[index]
        if mark.kind == "comma":
            yield start, mark.start
            start = mark.end
        index = mark.partner + 1 if mark.partner >= 0 else index + 1
    yield start, marks[last].start


def _read_text(text: str, start: int, end: int) -> Words:
    if not text[start:end].strip():
        raise CommandError("a text is missing here", code="bad_prompt", column=start, hint='the empty text is ""')
    words = read_words(text, start, end)
    if words.swaps:
        raise CommandError(
            "a swap cannot be part of a blend or a conjunction", code="bad_prompt", column=text.index(".swap(", start)
        )
    return words


def _read_old_blend(text: str) -> Blend | None:
    """`a:0.3 b:0.7`, where every part has a weight and there are at least two."""
    found = list(OLD_WEIGHT.finditer(text))
    if len(found) < 2 or text[found[-1].end() :].strip():
        return None
    places = list(zip([0, *(match.end() for match in found)], (match.start() for match in found), strict=False))
    if not all(text[start:end].strip() for start, end in places):
        return None
    for match in found:
        check_weight(float(match[1]), match.start(1))
    weights = normalized([float(match[1]) for match in found], found[0].start(1))
    return Blend(tuple(_read_text(text, *place) for place in places), weights)

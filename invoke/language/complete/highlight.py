"""Syntax highlighting: the kind of each span of a line, a function of the line and of which files exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from invoke.language.complete.cursor import belongs, exact_switch, kind_of, split
from invoke.language.parse import is_then
from invoke.language.tokens import SPACES, Word, skip_spaces
from invoke.language.types import ModelName, Path

Kind = Literal["command", "comment", "switch", "value", "path", "missing", "weight", "preset", "chain"]

_WEIGHT = re.compile(
    r"""\)\d*\.?\d*[+-]* | [()\[\]] | (?<=[\w)"])(\+{1,9}|-{2,9})(?=[\s,.)]|$) | \.(?:swap|blend|and)\(
    | <[\w.-]+> | \bwithLora\([^()]*\) | __[\w./-]+__ | [{}|]""",
    re.VERBOSE,
)
_SWITCH = re.compile(r"--?[A-Za-z]")
_PRESET = re.compile(r"\+[A-Za-z][\w-]*")


@dataclass(frozen=True, slots=True)
class Span:
    """`line[start:end]` is of this `kind`; text outside spans is the prompt."""

    start: int
    end: int
    kind: Kind


def highlight(line: str, exists: Callable[[str], bool] = lambda path: True) -> list[Span]:
    """The spans of `line`, in order, without overlap. Works for any text, including unfinished lines."""
    start = skip_spaces(line, 0)
    if line.startswith(("#", "//"), start):
        return [Span(start, len(line), "comment")]
    if line.startswith("!", start):
        end = next((at for at in range(start, len(line)) if line[at] in SPACES), len(line))
        return [Span(start, end, "command"), *_in_line(line, end, exists, prompt=False)]
    return list(_in_line(line, 0, exists, prompt=True))


def _in_line(line: str, position: int, exists: Callable[[str], bool], *, prompt: bool) -> Iterator[Span]:
    words = split(f"{line} ", position)[0]
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        end = min(word.end, len(line))
        row = exact_switch(line, word)
        if row is not None or _SWITCH.match(line, word.start):
            yield from _switch(line, word, end)
            taken: tuple[str, ...] = ()
            while row is not None and not row.is_flag and index < len(words):
                value = words[index]
                if (_SWITCH.match(line, value.start) and not value.quoted) or not belongs(row, taken, value.text):
                    break
                kind = kind_of(row, taken)
                yield Span(value.start, min(value.end, len(line)), _value(kind, value.text, exists))
                taken = (*taken, value.text)
                index += 1
        elif is_then(word):
            yield Span(word.start, end, "chain")
        elif prompt and not word.quoted and _PRESET.fullmatch(line, word.start, end):
            yield Span(word.start, end, "preset")
        elif prompt:
            yield from (Span(*found.span(), "weight") for found in _WEIGHT.finditer(line, word.start, end))


def _switch(line: str, word: Word, end: int) -> Iterator[Span]:
    equals = line.find("=", word.start, end)
    if equals < 0:
        yield Span(word.start, end, "switch")
        return
    yield Span(word.start, equals, "switch")
    if equals + 1 < end:
        yield Span(equals + 1, end, "value")


def _value(kind: object, text: str, exists: Callable[[str], bool]) -> Kind:
    if isinstance(kind, Path) and not isinstance(kind, ModelName):
        return "path" if exists(text) else "missing"
    return "value"

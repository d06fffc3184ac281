"""The cursor's context: the finished words before it, the word being typed, and a switch that still needs a value."""

import re

from invoke.errors import CommandError
from invoke.language.parse import is_then
from invoke.language.switches import Switch, by_name, by_short
from invoke.language.tokens import Word, read_value, read_word, skip_spaces
from invoke.language.types import Control, Reference, SwitchType

_SWITCH = re.compile(r"--?[A-Za-z]")


def split(before: str, position: int) -> tuple[list[Word], Word]:
    """The finished words from `position` on, and the word at the cursor, which may be empty."""
    words: list[Word] = []
    while (start := skip_spaces(before, position)) < len(before):
        after_switch = bool(words) and exact_switch(before, words[-1]) is not None
        words.append(read_begun(before, start, value=after_switch))
        position = words[-1].end
    if words and words[-1].end == len(before):
        return words[:-1], words[-1]
    return words, Word("", len(before), len(before), quoted=False)


def part_start(before: str) -> int:
    """The start of the part of a chain that contains the cursor."""
    return max((word.end for word in split(before, 0)[0] if is_then(word)), default=0)


def read_begun(before: str, start: int, *, value: bool) -> Word:
    """Read the word at `start`, whose quote may not be closed yet."""
    for closing in ("", '"', '\\"'):
        try:
            word = (read_value if value else read_word)(before + closing, start)
        except CommandError:
            continue
        return Word(word.text, start, min(word.end, len(before)), word.quoted)
    raise AssertionError("a quote closes it; after a backslash, an escaped one and a quote")


def waiting(before: str, words: list[Word]) -> tuple[Switch, tuple[str, ...]] | None:
    """The switch that the next word may belong to, and the words it already has."""
    for index in reversed(range(len(words))):
        row = exact_switch(before, words[index])
        taken = tuple(word.text for word in words[index + 1 :])
        if row is not None and all(belongs(row, taken[:at], word) for at, word in enumerate(taken)):
            return row, taken
        if before.startswith("-", words[index].start):
            return None
    return None


def end_with_value(line: str, start: int) -> int:
    """The end of the word at `start`; for a switch, the end of its value."""
    first, *rest = split(line + " ", start)[0] or [Word("", start, start, quoted=False)]
    row, end = exact_switch(line, first), first.end
    taken: tuple[str, ...] = ()
    for word in rest:
        if row is None or _SWITCH.match(line, word.start) or not belongs(row, taken, word.text):
            break
        taken, end = (*taken, word.text), word.end
    return min(end, len(line))


def belongs(row: Switch, taken: tuple[str, ...], word: str) -> bool:
    """Whether `word` is part of the value of `row` after the words `taken`."""
    return len(taken) < row.type.needs or row.type.takes(taken, word)


def kind_of(row: Switch, taken: tuple[str, ...]) -> SwitchType:
    """The type of the next word of `row`, after `taken`."""
    match row.type:
        case Control(parts=parts):
            return parts[min(len(taken), 2)]
        case Reference(parts=parts) if taken:
            return parts[min(len(taken) + Reference.is_picture(taken[0]), 2)]
    return row.type


def exact_switch(before: str, word: Word) -> Switch | None:
    """The switch that `word` names exactly, so that its value comes next."""
    typed = before[word.start : word.end]
    if typed.startswith("--"):
        return by_name().get(typed[2:].replace("-", "_"))
    return by_short().get(typed[1:]) if typed.startswith("-") else None

"""`!set reset` and `!set reset -W -H`: removes defaults of the session."""

from collections.abc import Sequence

from invoke.errors import CommandError
from invoke.language.switches import Switch, by_name, by_short
from invoke.language.tokens import Word, read_word, skip_spaces
from invoke.text import did_you_mean

RESET = "reset"


def read_reset(line: str) -> Sequence[Switch] | None:
    """The switches that `line` resets, empty for all of them; None if it is not a reset.

    Raises CommandError with the column of a word that is not a switch.
    """
    words: list[Word] = []
    position = 0
    while (start := skip_spaces(line, position)) < len(line):
        words.append(read_word(line, start))
        position = words[-1].end
        if words[0].text != RESET:
            return None
    return [_switch(word) for word in words[1:]] if words else None


def _switch(word: Word) -> Switch:
    """Find a switch by its name, with or without dashes: `-W`, `--width`, `width`."""
    name = word.text.lstrip("-").replace("-", "_")
    row = None if word.text.startswith("--") else by_short().get(word.text.removeprefix("-"))
    row = row or by_name().get(name)
    if row is None:
        raise CommandError(
            f"there is no switch {word.text}{did_you_mean(name, by_name(), '--{}')}",
            code="unknown_switch",
            column=word.start,
            hint="!set reset resets all switches, !set reset -W only that one",
        )
    return row

"""`!set reset` and `!set reset -W -H`: which defaults of the session are taken back."""

from collections.abc import Sequence

from invoke.errors import CommandError
from invoke.language.switches import Switch, by_name, by_short
from invoke.language.tokens import Word, read_word, skip_spaces
from invoke.text import did_you_mean

RESET = "reset"


def read_reset(line: str) -> Sequence[Switch] | None:
    """The switches that `line` takes back, none for all of them; None where it is no reset.

    Raises CommandError with the column of a word that names no switch.
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
    """The one that is called so, with its dashes or by the bare name: `-W`, `--width`, `width`."""
    name = word.text.lstrip("-").replace("-", "_")
    row = None if word.text.startswith("--") else by_short().get(word.text.removeprefix("-"))
    row = row or by_name().get(name)
    if row is None:
        raise CommandError(
            f"there is no switch {word.text}{did_you_mean(name, by_name(), '--{}')}",
            code="unknown_switch",
            column=word.start,
            hint="!set reset undoes all of them, !set reset -W that one",
        )
    return row

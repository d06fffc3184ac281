"""What stands in the brackets of `.blend()`, `.and()` and `.swap()`."""

import re
from collections.abc import Iterator
from math import isclose

from invoke.command.prompts.marks import check_weight
from invoke.command.prompts.tree import Window
from invoke.errors import CommandError
from invoke.wording import counted, did_you_mean

NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_NUMBER = re.compile(NUMBER)
_OPTIONS = ("t_start", "t_end", "s_start", "s_end", "shape_freedom")


def read_weights(text: str, start: int, end: int, *, count: int, call: str) -> tuple[float, ...]:
    """`.7, .3` for `count` texts; none are all 1. Those of a blend are made to add up to 1, but for `no_normalize`.

    Raises CommandError with the column in `text`.
    """
    words = list(_words(text, start, end))
    normalize = call == "blend"
    if normalize and words and words[-1][0] == "no_normalize":
        normalize = False
        words.pop()
    weights = [_number(word, column) for word, column in words] or [1.0] * count
    if len(weights) != count:
        raise CommandError(
            f".{call}() has {counted(len(weights), 'weight')} for {counted(count, 'text')}",
            code="bad_prompt",
            column=start,
            hint="give one to each, or none",
        )
    return normalized(weights, start) if normalize else tuple(weights)


def normalized(weights: list[float], column: int) -> tuple[float, ...]:
    """The weights of a blend, so that they add up to 1. Raises CommandError at `column`."""
    whole = sum(weights)
    if isclose(whole, 0, abs_tol=1e-6):
        raise CommandError(
            "the weights of this blend add up to 0",
            code="bad_prompt",
            column=column,
            hint='to use them as they are: ("a cat", "a dog").blend(1, -1, no_normalize)',
        )
    return tuple(weight / whole for weight in weights)


def read_window(text: str, start: int, end: int) -> Window:
    """`t_start=0.1, t_end=0.8` of a swap. Raises CommandError with the column in `text`."""
    given: dict[str, float] = {}
    for word, column in _words(text, start, end):
        name, equals, value = (part.strip() for part in word.partition("="))
        if name not in _OPTIONS or not equals:
            raise CommandError(
                f".swap() has no option '{word}'" + did_you_mean(name, _OPTIONS, "{}="),
                code="bad_prompt",
                column=column,
                hint=f'its options are {", ".join(_OPTIONS)}; words with commas need quotes: .swap("big, old")',
            )
        number = _number(value, column)
        if not 0 <= number <= 1:
            raise CommandError(f"{name} must be between 0 and 1, not {value}", code="bad_prompt", column=column)
        given[name] = number
    freedom = given.pop("shape_freedom", None)
    if freedom is not None:  # as Compel has it: what happens to shapes is decided early
        given.setdefault("s_end", 1 - freedom ** (1 / 3))
    return Window(**given)


def _words(text: str, start: int, end: int) -> Iterator[tuple[str, int]]:
    """What stands between commas, and its columns."""
    if not text[start:end].strip():
        return
    for part in text[start:end].split(","):
        yield part.strip(), start + len(part) - len(part.lstrip())
        start += len(part) + 1


def _number(word: str, column: int) -> float:
    if not _NUMBER.fullmatch(word):
        raise CommandError(
            f"'{word}' is no number" if word else "a number is missing", code="bad_prompt", column=column
        )
    number = float(word)
    check_weight(number, column)
    return number

"""Turns of phrase that many sentences share."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def counted(number: int, noun: str) -> str:
    """`1 line`, `2 lines`, `1,000 lines`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def with_article(noun: str) -> str:
    """`a picture`, `an upscaler`."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def one_of(names: Sequence[object]) -> str:
    """`bash, zsh or fish`."""
    *first, last = map(str, names)
    return f"{', '.join(first)} or {last}" if first else last


def did_you_mean(typed: str, known: Iterable[str], shown: str = "'{}'", *, cutoff: float = 0.6) -> str:
    """`, did you mean 'k_euler'?`: the one of `known` that is nearest to `typed`, as `shown`; "" where none is near.

    `cutoff` is how alike they must be, 0..1 (difflib).
    """
    near = get_close_matches(typed, known, 1, cutoff)
    return f", did you mean {shown.format(near[0])}?" if near else ""

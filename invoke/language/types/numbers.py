"""Values that are numbers."""

from dataclasses import dataclass

from invoke.language.types.base import Usual, Words, bounded, finite, looks_like_number, shown_range, whole
from invoke.request import LARGEST_SEED
from invoke.text import render_number


class Numeric(Usual):
    """Numbers: they may be glued to a short name (`-s10`)."""

    def glues(self, text: str) -> bool:
        return looks_like_number(text)


@dataclass(frozen=True)
class Integer(Numeric):
    """A whole number; `high` None: no upper bound."""

    low: int
    high: int | None = None

    def parse(self, words: Words) -> int:
        return bounded(whole(words[0]), self.low, self.high, words[0])

    def describe(self) -> str:
        return shown_range(self.low, self.high)


@dataclass(frozen=True)
class Number(Numeric):
    """A finite number; `high` None: no upper bound."""

    low: float
    high: float | None = None

    def parse(self, words: Words) -> float:
        return bounded(finite(words[0]), self.low, self.high, words[0])

    def render(self, value: float) -> Words:
        return (render_number(value),)

    def describe(self) -> str:
        return shown_range(self.low, self.high)


@dataclass(frozen=True)
class Seed(Numeric):
    """A seed, 0..2³²−1, or −N for the seed of the Nth most recent picture."""

    def parse(self, words: Words) -> int:
        value = whole(words[0])
        if value > LARGEST_SEED:
            raise ValueError(f"must be at most {LARGEST_SEED}, not {words[0]}")
        return value

    def describe(self) -> str:
        return "0..2³²−1 or -N"


@dataclass(frozen=True)
class Numbers(Numeric):
    """From one to `most` numbers: as many as the following words are numbers."""

    what: str
    bounds: tuple[Number, ...]
    """The bounds of each number; the last one applies to all further numbers."""
    most: int
    whole: bool = False

    def takes(self, taken: Words, word: str) -> bool:
        return len(taken) < self.most and looks_like_number(word)

    def parse(self, words: Words) -> tuple[float, ...]:
        return tuple(self._at(index, word) for index, word in enumerate(words))

    def _at(self, index: int, word: str) -> float:
        bound = self.bounds[min(index, len(self.bounds) - 1)]
        if self.whole:
            return Integer(int(bound.low)).parse((word,))
        return bound.parse((word,))

    def render(self, value: tuple[float, ...]) -> Words:
        return tuple(render_number(number) for number in value)

    def describe(self) -> str:
        return self.what


@dataclass(frozen=True)
class Interval(Usual):
    """Two fractions, smaller first, separated by a colon."""

    def glues(self, text: str) -> bool:
        return looks_like_number(text.partition(":")[0])

    def parse(self, words: Words) -> tuple[float, float]:
        share, (first, colon, last) = Number(0, 1), words[0].partition(":")
        if not colon:
            raise ValueError("needs two numbers between 0 and 1, such as 0.2:0.8")
        interval = share.parse((first,)), share.parse((last,))
        if interval[0] >= interval[1]:
            raise ValueError(f"must begin before it ends, not {first}:{last}")
        return interval

    def render(self, value: tuple[float, float]) -> Words:
        return (":".join(render_number(share) for share in value),)

    def describe(self) -> str:
        return "from:to"

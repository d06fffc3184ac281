"""Kinds of switch values: how each is read, written back, completed and described.

A type sees words, not lines: quoting is the business of `command`. `parse` raises ValueError with the end of a
sentence ("must be …, not …"), which the reader of the line completes with the switch's name and the column.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol, TypeVar

from invoke.request import LARGEST_SEED
from invoke.wording import did_you_mean

Words = tuple[str, ...]

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 40
_QUOTES = ('"', "'")
_PATH_LIKE = re.compile(r"[\"'./\\~:0-9]")


class SwitchType(Protocol):
    """A value's whole life. `needs` words must follow the switch; `takes` says whether one more belongs to it."""

    needs: int

    def takes(self, taken: Words, word: str) -> bool:
        """Whether `word` belongs to the value as well, after `taken`."""
        ...

    def glues(self, text: str) -> bool:
        """Whether `text` may stand glued to a short name, as in `-s10`."""
        ...

    def parse(self, words: Words) -> Any:
        """The value that `words` spell. Raises ValueError."""
        ...

    def render(self, value: Any) -> Words:
        """Words that `parse` reads as `value` again."""
        ...

    def suggest(self) -> Mapping[str, str]:
        """Values that can be listed, each with a word about it."""
        ...

    def describe(self) -> str:
        """The value in a help table: `0..1`, `path`."""
        ...


class _Usual:
    """What most types share: one word, glued if it looks like a value, nothing to list."""

    needs = 1

    def takes(self, taken: Words, word: str) -> bool:
        return False

    def glues(self, text: str) -> bool:
        return looks_like_number(text)

    def suggest(self) -> Mapping[str, str]:
        return {}

    def render(self, value: Any) -> Words:
        return (str(value),)


@dataclass(frozen=True)
class Flag(_Usual):
    """On by its name, off by its `--no-` twin."""

    needs = 0

    def glues(self, text: str) -> bool:
        return False

    def parse(self, words: Words) -> bool:
        return True

    def render(self, value: bool) -> Words:
        return ()

    def describe(self) -> str:
        return ""


@dataclass(frozen=True)
class Integer(_Usual):
    """A whole number; `high` None means no bound."""

    low: int
    high: int | None = None

    def parse(self, words: Words) -> int:
        return _bounded(_whole(words[0]), self.low, self.high, words[0])

    def describe(self) -> str:
        return _range(self.low, self.high)


@dataclass(frozen=True)
class Number(_Usual):
    """A finite number; `high` None means no bound."""

    low: float
    high: float | None = None

    def parse(self, words: Words) -> float:
        return _bounded(_finite(words[0]), self.low, self.high, words[0])

    def render(self, value: float) -> Words:
        return (render_number(value),)

    def describe(self) -> str:
        return _range(self.low, self.high)


@dataclass(frozen=True)
class Seed(_Usual):
    """0..2³²−1, or −N for the seed of the Nth newest picture."""

    def parse(self, words: Words) -> int:
        value = _whole(words[0])
        if value > LARGEST_SEED:
            raise ValueError(f"must be at most {LARGEST_SEED}, not {words[0]}")
        return value

    def describe(self) -> str:
        return "0..2³²−1 or -N"


@dataclass(frozen=True)
class Choice(_Usual):
    """One of a few names."""

    names: Mapping[str, str]

    def glues(self, text: str) -> bool:
        return text[:1] in _QUOTES or bool(get_close_matches(text.lower(), self.names, 1))

    def parse(self, words: Words) -> str:
        if words[0] in self.names:
            return words[0]
        meant = did_you_mean(words[0].lower(), self.names, cutoff=0.5)
        raise ValueError(f"must be one of {' '.join(self.names)}, not '{words[0]}'{meant}")

    def suggest(self) -> Mapping[str, str]:
        return self.names

    def describe(self) -> str:
        return "name"


@dataclass(frozen=True)
class Text(_Usual):
    """Any text; `what` names it in help."""

    what: str = "text"

    def glues(self, text: str) -> bool:
        return text[:1] in _QUOTES

    def parse(self, words: Words) -> str:
        return words[0]

    def describe(self) -> str:
        return self.what


@dataclass(frozen=True)
class Path(Text):
    """A path, read raw. `what` is what completion offers: `picture`, `folder`, `file`."""

    what: str = "picture"

    def glues(self, text: str) -> bool:
        return bool(_PATH_LIKE.search(text))

    def parse(self, words: Words) -> str:
        if not words[0]:
            raise ValueError("must name a file, not nothing")
        return words[0]


@dataclass(frozen=True)
class ModelName(Text):
    """A model: its name, folder, file or hub id."""

    what: str = "model"

    def glues(self, text: str) -> bool:
        return "_" in text or bool(_PATH_LIKE.search(text))

    def parse(self, words: Words) -> str:
        if not words[0]:
            raise ValueError("must name a model, not nothing")
        return words[0]


@dataclass(frozen=True)
class Refiner(_Usual):
    """A model that draws the end of each picture, and where it begins: `NAME` or `NAME:0.8`."""

    usual = 0.8

    def glues(self, text: str) -> bool:
        return False

    def parse(self, words: Words) -> tuple[str, float]:
        name, colon, fraction = words[0].rpartition(":")
        if not colon or not looks_like_number(fraction):
            name, fraction = words[0], str(self.usual)
        if not name:
            raise ValueError("must name a model, not nothing")
        return name, Number(0, 1).parse((fraction,))

    def render(self, value: tuple[str, float]) -> Words:
        return (f"{value[0]}:{render_number(value[1])}",)

    def describe(self) -> str:
        return "model[:0..1]"


@dataclass(frozen=True)
class Numbers(_Usual):
    """One number and up to `most` − 1 more, as long as the words read as numbers."""

    what: str
    bounds: tuple[Number, ...]
    """For each place; the last one serves for all that follow."""
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
class Interval(_Usual):
    """Two shares with a colon between them, the first one the smaller."""

    def glues(self, text: str) -> bool:
        return looks_like_number(text.partition(":")[0])

    def parse(self, words: Words) -> tuple[float, float]:
        share, (first, colon, last) = Number(0, 1), words[0].partition(":")
        if not colon:
            raise ValueError("expects two numbers between 0 and 1, such as 0.2:0.8")
        interval = share.parse((first,)), share.parse((last,))
        if interval[0] >= interval[1]:
            raise ValueError(f"must begin before it ends, not at {first} and {last}")
        return interval

    def render(self, value: tuple[float, float]) -> Words:
        return (":".join(render_number(share) for share in value),)

    def describe(self) -> str:
        return "from:to"


TEXT_MASK_THRESHOLD = 0.5
"""Of a text mask that names none."""


@dataclass(frozen=True)
class TextMask(_Usual):
    """What to mask, in words, and a threshold if the next word reads as one."""

    def takes(self, taken: Words, word: str) -> bool:
        return len(taken) == 1 and looks_like_number(word)

    def glues(self, text: str) -> bool:
        return text[:1] in _QUOTES

    def parse(self, words: Words) -> tuple[str, float] | tuple[str]:
        if not words[0].strip():
            raise ValueError("must name what to repaint, not nothing")
        if len(words) == 1:
            return (words[0],)
        return words[0], Number(0, 1).parse(words[1:])

    def render(self, value: tuple[str, float] | tuple[str]) -> Words:
        return (value[0], *(render_number(threshold) for threshold in value[1:]))

    def describe(self) -> str:
        return "text [0..1]"


@dataclass(frozen=True)
class Sides(_Usual):
    """`top 64 right 128`: sides of the picture and pixels, as many pairs as there are."""

    needs = 2
    names = ("top", "bottom", "left", "right")

    def takes(self, taken: Words, word: str) -> bool:
        return (len(taken) % 2 == 1) or word in self.names

    def glues(self, text: str) -> bool:
        return False

    def parse(self, words: Words) -> tuple[str | int, ...]:
        value: list[str | int] = []
        for side, pixels in zip(words[::2], words[1::2], strict=False):
            if side not in self.names:
                raise ValueError(f"must be pairs like 'top 64', one of {' '.join(self.names)}, not '{side}'")
            value += [side, Integer(1).parse((pixels,))]
        if len(words) % 2:
            raise ValueError(f"must say how many pixels to add at the {words[-1]}")
        return tuple(value)

    def render(self, value: tuple[str | int, ...]) -> Words:
        return tuple(str(part) for part in value)

    def suggest(self) -> Mapping[str, str]:
        return dict.fromkeys(self.names, "side")

    def describe(self) -> str:
        return "side pixels …"


@dataclass(frozen=True)
class OldDirection(_Usual):
    """`direction [pixels]` of the retired `-D`; read so that old lines still read."""

    def takes(self, taken: Words, word: str) -> bool:
        return len(taken) == 1 and looks_like_number(word)

    def glues(self, text: str) -> bool:
        return False

    def parse(self, words: Words) -> Words:
        return words

    def render(self, value: Words) -> Words:
        return value

    def describe(self) -> str:
        return "side [pixels]"


@dataclass(frozen=True)
class Control(_Usual):
    """`MODEL IMAGE [scale]` of a ControlNet."""

    needs = 2
    parts = (ModelName("controlnet"), Path("control picture"), Number(0, 2))
    """The kind of each word."""

    def takes(self, taken: Words, word: str) -> bool:
        return len(taken) == 2 and looks_like_number(word)

    def glues(self, text: str) -> bool:
        return False

    def parse(self, words: Words) -> tuple[str, str, float]:
        model, image, scale = (*words, "1")[:3]
        return self.parts[0].parse((model,)), self.parts[1].parse((image,)), self.parts[2].parse((scale,))

    def render(self, value: tuple[str, str, float]) -> Words:
        return value[0], value[1], render_number(value[2])

    def describe(self) -> str:
        return "model picture [0..2]"


@dataclass(frozen=True)
class Variations(_Usual):
    """`seed:weight,seed:weight`: fresh noise to lean towards, in this order."""

    def glues(self, text: str) -> bool:
        return text[:1].isdigit()

    def parse(self, words: Words) -> tuple[tuple[int, float], ...]:
        return tuple(self._part(part) for part in words[0].split(","))

    def _part(self, part: str) -> tuple[int, float]:
        seed, colon, weight = part.partition(":")
        try:
            if not colon:
                raise ValueError("has no weight")
            return Integer(0, LARGEST_SEED).parse((seed.strip(),)), Number(0, 1).parse((weight.strip(),))
        except ValueError as error:
            raise ValueError(f"must be seed:weight,seed:weight; '{part}' {error}") from None

    def render(self, value: tuple[tuple[int, float], ...]) -> Words:
        return (",".join(f"{seed}:{render_number(weight)}" for seed, weight in value),)

    def describe(self) -> str:
        return "seed:weight,…"


@dataclass(frozen=True)
class Axes(_Usual):
    """`x`, `y` or `x,y`."""

    def glues(self, text: str) -> bool:
        return False

    def parse(self, words: Words) -> Words:
        axes = tuple(words[0].split(","))
        if axes not in {("x",), ("y",), ("x", "y"), ("y", "x")}:
            raise ValueError(f"must be x, y or x,y, not '{words[0]}'")
        return tuple(sorted(axes))

    def render(self, value: Words) -> Words:
        return (",".join(value),)

    def suggest(self) -> Mapping[str, str]:
        return {"x": "left and right", "y": "top and bottom", "x,y": "both"}

    def describe(self) -> str:
        return "x, y or x,y"


def looks_like_number(text: str) -> bool:
    """Whether `text` spells a number from its first to its last letter."""
    return len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) is not None


def render_number(value: float) -> str:
    """The shortest text that reads as `value` again: 7.5, 2, 1e-07."""
    text = repr(value)
    return text.removesuffix(".0")


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER or not _INTEGER.fullmatch(text):
        raise ValueError(f"must be a whole number, not '{text}'")
    return int(text)


def _finite(text: str) -> float:
    if not looks_like_number(text):
        raise ValueError(f"must be a number, not '{text}'")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"must be a finite number, not '{text}'")
    return value + 0.0  # −0 is 0


_N = TypeVar("_N", int, float)


def _bounded(value: _N, low: float, high: float | None, text: str) -> _N:
    if value < low or (high is not None and value > high):
        allowed = f"between {render_number(low)} and {render_number(high)}" if high is not None else ""
        raise ValueError(f"must be {allowed or f'at least {render_number(low)}'}, not {text}")
    return value


def _range(low: float, high: float | None) -> str:
    return f"{render_number(low)}..{render_number(high)}" if high is not None else f"≥ {render_number(low)}"

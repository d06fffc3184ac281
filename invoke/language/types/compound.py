"""Values of several parts: text and threshold, model and fraction, sides and pixels."""

from collections.abc import Mapping
from dataclasses import dataclass

from invoke.images import PICTURES
from invoke.language.types.base import Usual, Words, looks_like_number
from invoke.language.types.numbers import Integer, Interval, Number
from invoke.language.types.words import QUOTES, ModelName, Path
from invoke.request import LARGEST_SEED, ControlValue
from invoke.text import render_number

TEXT_MASK_THRESHOLD = 0.5
"""Default threshold of a text mask."""


@dataclass(frozen=True)
class TextMask(Usual):
    """A text that names what to mask, and a threshold if the next word is a number."""

    def takes(self, taken: Words, word: str) -> bool:
        return len(taken) == 1 and looks_like_number(word)

    def glues(self, text: str) -> bool:
        return text[:1] in QUOTES

    def parse(self, words: Words) -> tuple[str, float] | tuple[str]:
        if not words[0].strip():
            raise ValueError("must name what to repaint")
        if len(words) == 1:
            return (words[0],)
        return words[0], Number(0, 1).parse(words[1:])

    def render(self, value: tuple[str, float] | tuple[str]) -> Words:
        return (value[0], *(render_number(threshold) for threshold in value[1:]))

    def describe(self) -> str:
        return "text [0..1]"


@dataclass(frozen=True)
class Refiner(Usual):
    """A model that draws the end of each picture, and where it takes over: `NAME` or `NAME:0.8`."""

    usual = 0.8

    def parse(self, words: Words) -> tuple[str, float]:
        name, colon, fraction = words[0].rpartition(":")
        if not colon or not looks_like_number(fraction):
            name, fraction = words[0], str(self.usual)
        if not name:
            raise ValueError("must name a model")
        return name, Number(0, 1).parse((fraction,))

    def render(self, value: tuple[str, float]) -> Words:
        return (f"{value[0]}:{render_number(value[1])}",)

    def describe(self) -> str:
        return "model[:0..1]"


@dataclass(frozen=True)
class Control(Usual):
    """A ControlNet and its image: `MODEL IMAGE [scale] [from:to]`."""

    needs = 2
    parts = (ModelName("controlnet"), Path("control picture"), Number(0, 2), Interval())
    """The type of each word."""

    def takes(self, taken: Words, word: str) -> bool:
        has_window = len(taken) > 2 and _is_window(taken[-1])
        if not 2 <= len(taken) <= 3 or has_window:
            return False
        return _is_window(word) or (len(taken) == 2 and looks_like_number(word))

    def parse(self, words: Words) -> ControlValue:
        model, image, *rest = words
        window = self.parts[3].parse((rest.pop(),)) if rest and ":" in rest[-1] else WHOLE
        scale = self.parts[2].parse((rest[0] if rest else "1",))
        value = self.parts[0].parse((model,)), self.parts[1].parse((image,)), scale
        return value if window == WHOLE else (*value, window)

    def render(self, value: ControlValue) -> Words:
        model, image, scale, *window = value
        return (model, image, render_number(scale), *(word for part in window for word in self.parts[3].render(part)))

    def describe(self) -> str:
        return "model picture [0..2] [from:to]"


WHOLE = (0.0, 1.0)
"""From the first call to the last."""


def _is_window(word: str) -> bool:
    """Whether `word` is two numbers, the first a fraction or 0. Ratios, such as `16:9`, belong to the prompt."""
    first, colon, last = word.partition(":")
    if not (colon and looks_like_number(first) and looks_like_number(last)):
        return False
    return float(first) == 0 or (float(first) <= 1 and "." in word)


@dataclass(frozen=True)
class Reference(Usual):
    """An IP-Adapter and its picture: `[MODEL] PICTURE [scale]`. A first word that names a picture is the picture."""

    parts = (ModelName("ip-adapter"), Path("picture"), Number(0, 2))
    """The type of each word, if the model is given."""

    def takes(self, taken: Words, word: str) -> bool:
        pictures = 1 if self.is_picture(taken[0]) else 2
        return len(taken) < pictures or (len(taken) == pictures and looks_like_number(word))

    def parse(self, words: Words) -> tuple[str, str, float]:
        model, rest = ("", words) if self.is_picture(words[0]) else (self.parts[0].parse(words[:1]), words[1:])
        if not rest:
            raise ValueError(f"must name a picture after the model {model}")
        image, scale = (*rest, "1")[:2]
        return model, self.parts[1].parse((image,)), self.parts[2].parse((scale,))

    def render(self, value: tuple[str, str, float]) -> Words:
        model, image, scale = value
        return (*((model,) if model else ()), image, render_number(scale))

    def describe(self) -> str:
        return "[model] picture [0..2]"

    @staticmethod
    def is_picture(word: str) -> bool:
        """Whether `word` names a picture file or a picture of the session (`-1`, `12.3`)."""
        return word == "-" or looks_like_number(word) or word.lower().endswith(PICTURES)


@dataclass(frozen=True)
class Variations(Usual):
    """`seed:weight,seed:weight`: seeds whose noise is mixed in, in this order."""

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
class Sides(Usual):
    """`top 64 right 128`: pairs of a side of the picture and pixels."""

    needs = 2
    names = ("top", "bottom", "left", "right")

    def takes(self, taken: Words, word: str) -> bool:
        return (len(taken) % 2 == 1) or word in self.names

    def parse(self, words: Words) -> tuple[str | int, ...]:
        value: list[str | int] = []
        for side, pixels in zip(words[::2], words[1::2], strict=False):
            if side not in self.names:
                raise ValueError(f"must be pairs such as 'top 64', with {' '.join(self.names)}, not '{side}'")
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
class OldDirection(Usual):
    """`direction [pixels]` of the retired `-D`; still read so that old lines can be read."""

    def takes(self, taken: Words, word: str) -> bool:
        return len(taken) == 1 and looks_like_number(word)

    def parse(self, words: Words) -> Words:
        return words

    def render(self, value: Words) -> Words:
        return value

    def describe(self) -> str:
        return "side [pixels]"

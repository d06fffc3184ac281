"""Values of one word or none: flags, choices, text, paths, model names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from invoke.language.types.base import Usual, Words
from invoke.samplers import find_sampler, nearest_sampler
from invoke.text import did_you_mean, with_article

QUOTES = ('"', "'")
_PATH_LIKE = re.compile(r"[\"'./\\~:0-9]")


@dataclass(frozen=True)
class Flag(Usual):
    """On with its name, off with its `--no-` twin."""

    needs = 0

    def parse(self, words: Words) -> bool:
        return True

    def render(self, value: bool) -> Words:
        return ()

    def describe(self) -> str:
        return ""


@dataclass(frozen=True)
class Choice(Usual):
    """One of a few names."""

    names: Mapping[str, str]

    def glues(self, text: str) -> bool:
        return text[:1] in QUOTES or bool(get_close_matches(text.lower(), self.names, 1))

    def parse(self, words: Words) -> str:
        if words[0] in self.names:
            return words[0]
        suggestion = did_you_mean(words[0].lower(), self.names, cutoff=0.5)
        raise ValueError(f"must be one of {' '.join(self.names)}, not '{words[0]}'{suggestion}")

    def suggest(self) -> Mapping[str, str]:
        return self.names

    def describe(self) -> str:
        return "name"


@dataclass(frozen=True)
class SamplerName(Choice):
    """A sampler, by its name in any program's spelling."""

    def glues(self, text: str) -> bool:
        return find_sampler(text) is not None or super().glues(text)

    def parse(self, words: Words) -> str:
        named = find_sampler(words[0])
        if named is None:
            near = nearest_sampler(words[0])
            suggestion = f", did you mean '{near}'?" if near else ""
            raise ValueError(f"must be one of {' '.join(self.names)}, not '{words[0]}'{suggestion}")
        if named.karras:
            raise ValueError(f"takes only the sampler's name, not '{words[0]}': type {named}")
        return named.name


@dataclass(frozen=True)
class Axes(Usual):
    """`x`, `y` or `x,y`."""

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


@dataclass(frozen=True)
class Text(Usual):
    """Any text; `what` is its description in help."""

    what: str = "text"

    def glues(self, text: str) -> bool:
        return text[:1] in QUOTES

    def parse(self, words: Words) -> str:
        return words[0]

    def describe(self) -> str:
        return self.what


@dataclass(frozen=True)
class Path(Text):
    """A path, as typed. `what` is the kind that completion offers: `picture`, `folder`, `file`."""

    what: str = "picture"

    def glues(self, text: str) -> bool:
        return bool(_PATH_LIKE.search(text))

    def parse(self, words: Words) -> str:
        if not words[0]:
            raise ValueError(f"must name {with_article(self.what)}")
        return words[0]


@dataclass(frozen=True)
class ModelName(Text):
    """A model: its name, folder, file or hub id."""

    what: str = "model"

    def glues(self, text: str) -> bool:
        return "_" in text or bool(_PATH_LIKE.search(text))

    def parse(self, words: Words) -> str:
        if not words[0]:
            raise ValueError("must name a model")
        return words[0]

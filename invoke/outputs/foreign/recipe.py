"""A recipe of another program as a line of ours, and what was left out.

Only what makes the picture is taken over, each value checked as if typed. Paths, folders and models are never taken
over: a file that somebody sent names nothing that is opened here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from invoke.language.render import render_prompt, render_switch
from invoke.language.switches import Switch, by_name
from invoke.language.types import Control, ModelName, Path, Refiner
from invoke.samplers import find_sampler
from invoke.text import one_line

LONGEST = 120
"""Characters of a value that is left out, as it is shown."""

_ORDER = (
    *("seed", "steps", "cfg_scale", "width", "height", "sampler", "karras", "strength", "with_variations"),
    *("clip_skip", "cfg_rescale", "threshold", "perlin", "seamless", "hires_fix", "exact_steps", "negative_prompt"),
)


NO_CHANGES: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ForeignRecipe:
    """What a file of another program gives."""

    program: str
    """`ComfyUI`; "" when nothing says."""
    line: str = ""
    """"" where there is no recipe that one line could tell."""
    left_out: tuple[str, ...] = ()
    """`seed 9007199254740993`: one text per loss; why there is no line, where there is none."""


@dataclass(slots=True)
class Found:
    """A recipe while it is read. The prompts are in our syntax."""

    program: str
    prompt: str = ""
    negative_prompt: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    """Long switch name → the value as the file has it, unchecked. `sampler` is a name in any dialect."""
    typed: dict[str, Any] = field(default_factory=dict)
    """Long switch name → the value as a line has it, checked already."""
    second: dict[str, object] = field(default_factory=dict)
    """What a second pass has other than the first; empty where there is one alone."""
    left_out: list[str] = field(default_factory=list)
    has_line: bool = True
    """Whether what was read is a plain recipe."""

    def refuse(self, why: str) -> "Found":
        """What was read is no plain recipe."""
        self.has_line = False
        self.left_out = [why]
        return self

    def lose(self, name: str, value: object = "") -> None:
        """Note that `name` was left out."""
        self.left_out.append(shown(name, value))

    def lose_rest(self, rest: Mapping[str, object], unsaid: frozenset[str] = frozenset()) -> None:
        """Note all of `rest` that says something, but for the names in `unsaid`."""
        for name, value in rest.items():
            if name not in unsaid and value not in (None, "", False, [], {}):
                self.lose(name, value)

    def recipe(self) -> ForeignRecipe:
        """The line, of what can be typed; the rest is left out, and that is noted."""
        passes = [self._words(), *([self._words(self.second)] if self.second else [])]
        line = " |> ".join(" ".join(words) for words in passes)
        return ForeignRecipe(self.program, line if self.has_line else "", tuple(dict.fromkeys(self.left_out)))

    def _words(self, changes: Mapping[str, object] = NO_CHANGES) -> list[str]:
        words = [render_prompt(one_line(self.prompt))]
        settings = self._with_sampler() | {"negative_prompt": one_line(self.negative_prompt)} | dict(changes)
        for name in _ORDER:
            value = settings.get(name)
            if value in (None, "", False):
                continue
            row = by_name()[name]
            try:
                typed = True if row.is_flag else row.type.parse((one_line(str(value)),))
                if name == "seed" and typed < 0:
                    raise ValueError(value)
            except ValueError:
                self.lose(name, value)
                continue
            if typed != row.default or name in {"steps", "cfg_scale", "strength"}:
                words += render_switch(row, typed)
        return words + [word for name, value in self.typed.items() for word in _words(name, value)]

    def _with_sampler(self) -> dict[str, object]:
        """The settings with our name of the sampler, and with its `karras`."""
        settings = dict(self.settings)
        if (named := settings.pop("sampler", None)) in (None, ""):
            return settings
        sampler = find_sampler(str(named))
        if sampler is None:
            self.lose("sampler", named)
            return settings | {"karras": False}
        return settings | {"sampler": sampler.name, "karras": settings.get("karras") or sampler.karras}


def _words(name: str, value: Any) -> list[str]:
    row = by_name()[name]
    return [word for occurrence in row.occurrences(value) for word in render_switch(row, occurrence)]


def makes_a_picture(row: Switch) -> bool:
    """Whether a foreign recipe may give this switch: it makes the picture, and names no file, folder or model."""
    return bool(row.field) and not isinstance(row.type, Path | ModelName | Refiner | Control)


def shown(name: str, value: object = "") -> str:
    """What was left out, on one line of moderate length."""
    text = one_line(f"{name} {value}".strip())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def as_object(text: str) -> dict[str, Any]:
    """The JSON object in `text`; {} for anything else."""
    import json

    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    return value if isinstance(value, str) else ""

"""Converts a recipe of another program to a line, and lists what was left out.

Only settings that affect the picture are used, each checked as if it had been typed. Paths, folders and models are
never used: a file from elsewhere must not determine what is opened.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from invoke.language.parse import THEN
from invoke.language.render import render_prompt, render_switch
from invoke.language.switches import Switch, by_name
from invoke.language.types import Control, ModelName, Path, Refiner
from invoke.samplers import find_sampler
from invoke.text import one_line

LONGEST = 120
"""Maximum length at which a left-out value is shown."""

_ORDER = (
    *("seed", "steps", "cfg_scale", "width", "height", "sampler", "karras", "strength", "with_variations"),
    *("clip_skip", "cfg_rescale", "threshold", "perlin", "seamless", "hires_fix", "exact_steps", "negative_prompt"),
)
"""Switches that the readers set, in the order in which they stand in the line."""


_SCHEDULE = re.compile(
    r"\s+((?:poly)?exponential|(?:sgm|ddim) uniform|kl optimal|align your steps|ays|simple|normal|beta|turbo)$",
    re.IGNORECASE,
)
"""A schedule type at the end of a sampler's name, as A1111 wrote it until 1.8."""
NO_CHANGES: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ForeignRecipe:
    """The recipe in a file of another program."""

    program: str
    """Name of the program, such as `ComfyUI`; "" if unknown."""
    line: str = ""
    """"" if there is no recipe that a line can express."""
    left_out: tuple[str, ...] = ()
    """One text for each setting that was left out, such as `seed 9007199254740993`, or why there is no line."""


@dataclass(slots=True)
class Found:
    """A recipe that is being read. Its prompts are in our syntax."""

    program: str
    prompt: str = ""
    negative_prompt: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    """Long name of a switch → unchecked value from the file. `sampler` is a name in any program's spelling."""
    typed: dict[str, Any] = field(default_factory=dict)
    """Long name of a switch → checked value from a line."""
    second: dict[str, object] = field(default_factory=dict)
    """What a second pass has other than the first; empty where there is one alone."""
    left_out: list[str] = field(default_factory=list)
    has_line: bool = True
    """Whether it can be expressed as a line."""

    def refuse(self, why: str) -> "Found":
        """Note that it cannot be expressed as a line, and why."""
        self.has_line = False
        self.left_out = [why]
        return self

    def lose(self, name: str, value: object = "") -> None:
        """Note that `name` was left out."""
        self.left_out.append(shown(name, value))

    def lose_rest(self, rest: Mapping[str, object], unsaid: frozenset[str] = frozenset()) -> None:
        """Note that all non-empty settings in `rest`, except `unsaid`, were left out."""
        for name, value in rest.items():
            if name not in unsaid and value not in (None, "", "None", False, [], {}):
                self.lose(name, value)

    def recipe(self) -> ForeignRecipe:
        """Render everything that can be typed as a line, and note the rest as left out."""
        passes = [self._words(), *([self._words(self.second)] if self.second else [])]
        line = f" {THEN} ".join(" ".join(words) for words in passes)
        return ForeignRecipe(
            self.program, line if self.has_line else "", tuple(dict.fromkeys(map(shown, self.left_out)))
        )

    def _words(self, changes: Mapping[str, object] = NO_CHANGES) -> list[str]:
        settings = self._with_sampler({**self.settings, "negative_prompt": self.negative_prompt, **changes})
        words = [render_prompt(one_line(str(settings.get("prompt", self.prompt))))]
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

    def _with_sampler(self, settings: dict[str, object]) -> dict[str, object]:
        """`settings` with our name of the sampler, and `karras`."""
        if (named := settings.pop("sampler", None)) in (None, ""):
            return settings
        sampler = find_sampler(str(named))
        if sampler is None and (schedule := _SCHEDULE.search(str(named))):
            sampler = find_sampler(str(named)[: schedule.start()])
            if sampler is not None:
                self.lose("schedule type", schedule[1])
        if sampler is None:
            self.lose("sampler", named)
            return settings | {"karras": False}
        return settings | {"sampler": sampler.name, "karras": settings.get("karras") or sampler.karras}


def _words(name: str, value: Any) -> list[str]:
    row = by_name()[name]
    return [word for occurrence in row.occurrences(value) for word in render_switch(row, occurrence)]


def makes_a_picture(row: Switch) -> bool:
    """Whether a foreign recipe may set this switch: it affects the picture, and names no file, folder or model."""
    return bool(row.field) and not isinstance(row.type, Path | ModelName | Refiner | Control)


def shown(name: str, value: object = "") -> str:
    """A left-out setting, in one line of limited length."""
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

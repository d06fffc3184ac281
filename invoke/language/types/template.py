"""`--fnformat`: a template for file names, in a restricted syntax of `str.format`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from invoke.language.types.base import Words
from invoke.language.types.words import Text
from invoke.text import did_you_mean

FIELDS: Mapping[str, str | int | float] = {
    "prefix": "000001",
    "seed": 1,
    "prompt": "a cat",
    "negative_prompt": "",
    "steps": 50,
    "cfg_scale": 7.5,
    "width": 512,
    "height": 512,
    "strength": 0.75,
    "perlin": 0.0,
    "threshold": 0.0,
    "sampler": "ddim",
    "sampler_name": "ddim",
    "model": "pocket",
    "model_id": "pocket",
    "init_img": "fire",
}
"""Fields of a template, each with an example value of its type."""
_FORM = re.compile(r"[<>^]?0?\d{0,3}(\.\d{1,3})?[dfgs]?")

Part = tuple[str, str, str]
"""Literal text; the field after it, or ""; the field's format (`010`, `.1f`), or ""."""


@dataclass(frozen=True)
class Template(Text):
    """A template such as `{prefix}.{seed}.png`: text and FIELDS."""

    what: str = "template"

    def parse(self, words: Words) -> str:
        parts_of(words[0])
        return words[0]


def parts_of(template: str) -> list[Part]:
    """Split `template` into its parts. Raises ValueError if it cannot name pictures."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"must be a template, not '{template}': {error}") from None
    for _, field, form, conversion in parts:
        if field is not None:
            _check(field, form or "", conversion or "")
    return [(letters, field or "", form or "") for letters, field, form, _ in parts]


def _check(field: str, form: str, conversion: str) -> None:
    if field not in FIELDS:
        fields = " ".join(f"{{{name}}}" for name in FIELDS)
        suggestion = did_you_mean(field, FIELDS, "{{{}}}")
        raise ValueError(f"must be made of {fields}, not {{{field}}}{suggestion}")
    try:
        if conversion or not _FORM.fullmatch(form):
            raise ValueError
        format(FIELDS[field], form)
    except ValueError:
        raise ValueError(f"cannot format {{{field}}} as '{conversion or form}'") from None

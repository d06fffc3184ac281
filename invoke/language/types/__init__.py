"""Kinds of switch values: reading, writing, completing and describing them.

Types work on words, not lines; quotes are already removed. `parse` raises ValueError with the end of a sentence ("must
be …, not …"), to which the parser of the line adds the switch's name and the column.
"""

from invoke.language.types.base import SwitchType, looks_like_number
from invoke.language.types.compound import (
    TEXT_MASK_THRESHOLD,
    Control,
    OldDirection,
    Reference,
    Refiner,
    Sides,
    TextMask,
    Variations,
)
from invoke.language.types.numbers import Integer, Interval, Number, Numbers, Seed
from invoke.language.types.template import Template
from invoke.language.types.words import Axes, Choice, Flag, ModelName, Path, SamplerName, Text

__all__ = [
    "TEXT_MASK_THRESHOLD",
    "Axes",
    "Choice",
    "Control",
    "Flag",
    "Integer",
    "Interval",
    "ModelName",
    "Number",
    "Numbers",
    "OldDirection",
    "Path",
    "Reference",
    "Refiner",
    "SamplerName",
    "Seed",
    "Sides",
    "SwitchType",
    "Template",
    "Text",
    "TextMask",
    "Variations",
    "looks_like_number",
]

"""Kinds of switch values: how each is read, written back, completed and described.

A type sees words, not lines: quoting is the business of `command`. `parse` raises ValueError with the end of a
sentence ("must be …, not …"), which the reader of the line completes with the switch's name and the column.
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

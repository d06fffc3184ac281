"""Lines that stand for many: `--sweep` over a switch's values or over words; a folder or a glob as init picture.

Besides switches, `prompt=…` sweeps over whole prompts, `word:tree=…` over replacements of a word, `preset=…` over
presets, and `lora:NAME=…` over the weights of a LoRA in the prompt.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from pathlib import Path, PurePath
from typing import Any

from invoke.errors import PictureError, RequestError
from invoke.images import PICTURES
from invoke.language.parse import Draft
from invoke.language.presets import expand
from invoke.language.resolve.init_image import refuse_untypable, refuse_url
from invoke.language.resolve.line_context import ErrorColumn
from invoke.language.switches import Switch, by_name, by_short
from invoke.language.types import Choice, Integer, ModelName, Number, Numbers, Seed, looks_like_number
from invoke.paths import expanded, is_there, matching
from invoke.text import did_you_mean, render_number

PROMPT_AXIS, WORD_AXIS, PRESET_AXIS, LORA_AXIS = "prompt", "word", "preset", "lora"
_WORDS = (PROMPT_AXIS, WORD_AXIS, PRESET_AXIS, LORA_AXIS)
MOST = 10_000
"""Limit of pictures per line, before `-n` multiplies them."""
_SHEET = re.compile(r"\d{6,}\.(\d+(-\d+)?\.)?((\d+\..+\.)?steps|grid|sweep)(-\d+)?\.(png|gif)")
"""File names of sheets, strips and animations: a folder or glob skips them if it also has other pictures."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A switch and its values."""

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]
    """The label of each value on the sheet."""
    is_swept: bool


def read_axes(draft: Draft, settings: Mapping[str, Any]) -> tuple[Axis, ...]:
    """The axes of a line, slowest first: init pictures, then `--sweep` in the order typed.

    Raises RequestError or PictureError with the column.
    """
    axes = [_init_pictures(draft, settings), *_sweeps(draft, settings)]
    found = tuple(axis for axis in axes if axis is not None)
    count = 1
    for axis in found:
        count *= len(axis.values)
    if count > MOST:
        raise RequestError(f"this line asks for {count} pictures: the limit is {MOST}", code="too_many")
    return found


def combinations(axes: tuple[Axis, ...]) -> Iterator[dict[str, Any]]:
    """Every combination of one value per axis, as switches."""
    for values in product(*(axis.values for axis in axes)):
        yield dict(zip((axis.name for axis in axes), values, strict=True))


def choose(draft: Draft, chosen: Mapping[str, Any], presets: Callable[[], Mapping[str, str]] = dict) -> Draft:
    """The draft with one value of each axis, as if it had been typed in place of `--sweep`. Raises CommandError."""
    column = draft.values.get("sweep")
    for name, value in chosen.items():
        kind, _, subject = name.partition(":")
        if name == PROMPT_AXIS:
            draft = replace(draft, prompt=value)
        elif kind == WORD_AXIS:
            draft = replace(draft, prompt=_word(subject).sub(value.replace("\\", r"\\"), draft.prompt or ""))
        elif kind == LORA_AXIS:
            draft = replace(draft, prompt=_lora(subject).sub(rf"\g<1>{value}\g<2>", draft.prompt or ""))
        elif name == PRESET_AXIS:
            draft = expand(replace(draft, presets=((value, column or 0),)), presets)
        else:
            place = {name: column} if column is not None else {}
            draft = replace(
                draft,
                switches={**draft.switches, name: value},
                columns={**place, **draft.columns},
                values={**place, **draft.values},
            )
    return draft


def label_of(chosen: Mapping[str, Any]) -> str:
    """The words that tell one picture of a sweep from the others: a model's name without its folders; no numbers."""
    return " ".join(
        PurePath(value).name if name == "model" else value for name, value in chosen.items() if _names(name)
    )


def _names(axis: str) -> bool:
    """Whether the values of an axis are words, which make good file names; numbers stand on the sheet."""
    row = by_name().get(axis)
    return axis.partition(":")[0] in _WORDS or (row is not None and isinstance(row.type, Choice | ModelName))


def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")


def _lora(name: str) -> re.Pattern[str]:
    return re.compile(rf"(\bwithLora\(\s*{re.escape(name)}\s*,\s*)-?[\d.]+(\s*\))")


def refuse_idle(axes: tuple[Axis, ...], ineffective: Sequence[Mapping[str, str]], column: int | None) -> None:
    """Raise RequestError if a sweep would make identical pictures.

    `ineffective` has, for each combination, the switches without effect and the reason.
    """
    for axis in axes:
        if axis.is_swept and all(axis.name in one for one in ineffective):
            raise RequestError(
                f"--sweep {axis.name} would make identical pictures: {ineffective[0][axis.name]}",
                code="bad_sweep",
                column=column,
            )


def sheet_labels(axes: tuple[Axis, ...]) -> tuple[tuple[str, ...], int]:
    """The labels of a sweep's sheet and the number of columns; empty without a sweep."""
    swept = [axis for axis in axes if axis.is_swept]
    if not swept:
        return (), 0
    labels = tuple(" · ".join(parts) for parts in product(*(axis.labels for axis in axes)))
    return labels, len(swept[-1].values)


def _init_pictures(draft: Draft, settings: Mapping[str, Any]) -> Axis | None:
    typed = settings.get("init_img")
    if typed is None:
        return None
    with ErrorColumn(draft, "init_img"):
        refuse_url(typed)
    path = expanded(typed)
    missing = "this folder holds no pictures"
    if is_there(path) and path.is_dir():
        names = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in PICTURES)
    elif re.search(r"[*?]", typed) and not is_there(path):
        names = [name for name in matching(path) if Path(name).is_file()]
        missing = "no picture matches"
    else:
        return None
    if not names:
        raise PictureError(f"{typed}: {missing}", code="picture_missing", column=draft.values.get("init_img"))
    names = [name for name in names if not _SHEET.fullmatch(Path(name).name)] or names
    with ErrorColumn(draft, "init_img"):
        for name in names:
            refuse_untypable(name)
    return Axis("init_img", tuple(names), tuple(Path(name).name for name in names), is_swept=False)


def _sweeps(draft: Draft, settings: Mapping[str, Any]) -> list[Axis]:
    asked = settings.get("sweep", ())
    column = draft.values.get("sweep")
    if len(asked) > 2:
        raise RequestError("at most two switches can be swept at once", code="bad_sweep", column=column)
    columns = [draft.values.get(f"sweep {number}", column) for number in range(1, len(asked) + 1)]
    axes = [_sweep_words(draft, text, place) or _sweep(text, place) for text, place in zip(asked, columns, strict=True)]
    if len({axis.name for axis in axes}) < len(axes):
        raise RequestError(f"--{axes[0].name} is swept twice", code="bad_sweep", column=column)
    return axes


def _sweep_words(draft: Draft, text: str, column: int | None) -> Axis | None:
    """The axis of a sweep over words; None if `text` names a switch."""
    name, equals, spelled = text.partition("=")
    kind, _, subject = name.strip().partition(":")
    if kind not in _WORDS or (kind in (WORD_AXIS, LORA_AXIS)) != bool(subject):
        return None
    values = tuple(value.strip() for value in spelled.split(","))
    if not equals or not all(values):
        raise RequestError(f"--sweep {text}: must be {name}=a,b,c", code="bad_sweep", column=column)
    if kind == LORA_AXIS:
        try:
            values = _spread(spelled) if ":" in spelled else tuple(render_number(float(value)) for value in values)
        except ValueError as error:
            raise RequestError(f"--sweep {text}: {error}", code="bad_sweep", column=column) from None
    pattern = {WORD_AXIS: _word, LORA_AXIS: _lora}.get(kind)
    if pattern is not None and not pattern(subject).search(draft.prompt or ""):
        missing = f"withLora({subject},1)" if kind == LORA_AXIS else f"the word {subject}"
        raise RequestError(f"--sweep {text}: the prompt does not have {missing}", code="bad_sweep", column=column)
    labels = tuple(f"{subject} {value}" for value in values) if kind == LORA_AXIS else values
    return Axis(name.strip(), values, labels, is_swept=True)


def _sweep(text: str, column: int | None) -> Axis:
    name, equals, spelled = text.partition("=")
    row = _row(name, column)
    if not equals or not spelled:
        raise RequestError(
            f"--sweep {text}: must be {row.name}=a,b,c or {row.name}=from:to:step",
            code="bad_sweep",
            column=column,
        )
    try:
        is_spread = ":" in spelled and not isinstance(row.type, ModelName)
        words = _spread(spelled) if is_spread else tuple(word.strip() for word in spelled.split(","))
        values = tuple(row.type.parse((word,)) for word in words)
        if row.name == "seed" and min(values) < 0:
            raise ValueError("must be at least 0")
    except ValueError as error:
        raise RequestError(f"--sweep {text}: {error}", code="bad_sweep", column=column) from None
    labels = tuple(f"{row.name} {' '.join(row.type.render(value))}" for value in values)
    return Axis(row.name, values, labels, is_swept=True)


def _row(name: str, column: int | None) -> Switch:
    bare = name.strip().lstrip("-").replace("-", "_")
    row = by_short().get(bare) or by_name().get(bare)
    swept = [row.name for row in by_name().values() if _can_sweep(row)]
    if row is None:
        suggestion = did_you_mean(bare, swept, "{}")
        raise RequestError(f"--sweep: there is no switch {name}{suggestion}", code="bad_sweep", column=column)
    if not _can_sweep(row):
        raise RequestError(
            f"--sweep: {row.spelling} cannot be swept; only switches with a number or a name can",
            code="bad_sweep",
            column=column,
        )
    return row


def _can_sweep(row: Switch) -> bool:
    return bool(row.field) and isinstance(row.type, Integer | Number | Numbers | Seed | Choice | ModelName)


def _spread(text: str) -> tuple[str, ...]:
    """`0.3:0.7:0.1` → 0.3 0.4 … 0.7, in decimal arithmetic; the last value is at most `to`."""
    parts = text.split(":")
    if len(parts) != 3 or not all(looks_like_number(part.strip()) for part in parts):
        raise ValueError("must be three numbers, from:to:step")
    start, end, step = (Decimal(part.strip()) for part in parts)
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"steps of {step} do not lead from {start} to {end}")
    count = int((end - start) / step) + 1
    if count > MOST:
        raise ValueError(f"these are {count} values: the limit is {MOST}")
    return tuple(_plain(start + index * step) for index in range(count))


def _plain(number: Decimal) -> str:
    """Without exponent or trailing zeros: 10, 0.3."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text

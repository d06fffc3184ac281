"""Converts JSON from a file to our dataclasses, checking every field as if it had been typed."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields
from reprlib import repr as shortened
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from invoke.events import RunInfo
from invoke.language.switches import by_field, later_fields
from invoke.request import Request

Made = TypeVar("Made", Request, RunInfo)


def request_from(data: object) -> Request | None:
    """Read a request; None if its fields are those of another version of the program.

    Raises ValueError if a value is not valid for its switch.
    """
    request = _made(Request, data, later_fields())
    if request is not None:
        for name, row in by_field().items():
            value = getattr(request, name)
            if row.is_flag or value == row.default or isinstance(value, Request):
                continue
            try:
                read = [row.type.parse(row.type.render(occurrence)) for occurrence in row.occurrences(value)]
            except ValueError as error:
                raise ValueError(f"{name} {error}") from None
            if read != [*row.occurrences(value)] or (name == "seed" and value < 0):
                raise ValueError(f"{name} must be {row.type.describe()}, not {shortened(value)}")
    return request


def facts_from(data: object) -> RunInfo | None:
    """Read the facts; None if they are another version's. Raises ValueError."""
    return _made(RunInfo, data)


def _made(kind: type[Made], data: object, absent: Mapping[str, Any] = MappingProxyType({})) -> Made | None:
    """Read an object of `kind`; `absent` has defaults for fields that may be missing. None: another version's."""
    if not isinstance(data, dict):
        raise ValueError(f"{'facts' if kind is RunInfo else 'request'} must be an object, not {shortened(data)}")
    hints = get_type_hints(kind)
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    if not needed - absent.keys() <= data.keys() <= hints.keys():
        return None
    return kind(**{**absent, **{name: _value(name, hints[name], value) for name, value in data.items()}})


def _value(name: str, hint: Any, value: object) -> Any:
    """Convert `value` to the type `hint`. Raises ValueError."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is types.UnionType and Request in parts and isinstance(value, dict):
        before = request_from(value)
        if before is None:
            raise ValueError(f"{name} is from another version")
        return before
    if origin is types.UnionType:
        fitting = [part for part in parts if part is type(value)] or [part for part in parts if part is not type(None)]
        return None if value is None and type(None) in parts else _first_fitting(name, fitting, value)
    if origin is Literal and isinstance(value, str) and value in parts:
        return value
    if origin is tuple and isinstance(value, list):
        hints = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
        if len(hints) == len(value):
            return tuple(_value(name, part, item) for part, item in zip(hints, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {_value(name, str, key): _value(name, parts[1], item) for key, item in value.items()}
    if hint is float and type(value) in {int, float} and _is_finite(value):
        return float(value)  # type: ignore[arg-type]
    if hint in {bool, int, str} and type(value) is hint:
        return value
    raise ValueError(f"{name} cannot be {shortened(value)}")


def _first_fitting(name: str, hints: Sequence[Any], value: object) -> Any:
    """Convert `value` to the first type of `hints` that fits. Raises the ValueError of the last one."""
    *others, last = hints
    for hint in others:
        with suppress(ValueError):
            return _value(name, hint, value)
    return _value(name, last, value)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False

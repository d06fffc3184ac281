"""The size of a picture: `-W`, `-H` and `--fit`, the model's multiple, the init picture's size."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import lcm
from typing import Any

from invoke.errors import ModelError, RequestError
from invoke.images import PictureFacts, target_size
from invoke.language.resolve.line_context import LineContext
from invoke.language.switches import by_name, in_force
from invoke.models import ModelSpec
from invoke.request import Request
from invoke.text import render_number

SIDES = range(64, 8192 + 1)
"""Allowed sides, in pixels."""


def drawn_size(
    settings: Mapping[str, Any],
    spec: ModelSpec,
    facts: PictureFacts | None,
    columns: Mapping[str, int],
    *,
    multiple: int,
) -> tuple[int, int]:
    """Width and height in pixels, multiples of `multiple`. Raises RequestError."""
    asked = {name: _rounded(settings[name], multiple) for name in ("width", "height") if name in settings}
    if facts is None:
        return asked.get("width", spec.width), asked.get("height", spec.height)
    width, height = target_size(
        facts.width,
        facts.height,
        asked_width=asked.get("width"),
        asked_height=asked.get("height"),
        fit=in_force("fit", settings),
        multiple=multiple,
    )
    least = SIDES.start if multiple > 1 else 1  # multiple 1: no model draws it, it is only postprocessed
    if min(width, height) < least or max(width, height) not in range(SIDES.stop):
        raise RequestError(
            f"the picture would be {width}×{height}; each side needs {least} to {SIDES.stop - 1} pixels",
            code="bad_size",
            column=columns.get("init_img"),
            hint=f"give the size: -W {spec.width} -H {spec.height}",
        )
    return width, height


def check_canvas(request: Request, columns: Mapping[str, int]) -> None:
    """Raise RequestError if `-c` would make a side too long."""
    width, height = request.size
    if request.outcrop and max(width, height) not in SIDES:
        raise RequestError(
            f"-c: the picture would be {width}×{height}; a side can have at most {SIDES.stop - 1} pixels",
            code="too_large",
            column=columns.get("outcrop"),
            hint="add fewer pixels",
        )


def rounding(settings: Mapping[str, Any], spec: ModelSpec, multiple: int) -> Iterator[str]:
    """Notes about given sides that are rounded: `-W/--width 250 → 256: pocket makes multiples of 8`."""
    for name in ("width", "height"):
        if name in settings and (rounded := _rounded(settings[name], multiple)) != settings[name]:
            yield f"{by_name()[name].spelling} {settings[name]} → {rounded}: {spec.name} makes multiples of {multiple}"


def multiple_of(settings: Sequence[Mapping[str, Any]], context: LineContext, has_init: bool) -> int:
    """The number to whose multiples sides are rounded; common to all `settings` of a line, so that sizes are equal.

    It is the least common multiple of the multiples of all models that draw; 1 if none does.
    """
    multiples = {1}
    for typed in settings:
        if not (has_init and _is_kept(typed)):
            with suppress(ModelError):  # the resolver of these settings raises it, with the column
                multiples.add(context.models.find(typed.get("model", context.model)).multiple)
    return lcm(*multiples)


def size_advice(
    request: Request, spec: ModelSpec, facts: PictureFacts | None, *, typed: Mapping[str, Any]
) -> str | None:
    """A note if `spec` draws this size badly, with a better size to type, of the same shape if possible."""
    width, height = request.width, request.height
    if spec.draws_well(width, height):
        return None
    sides, native = spec.sides, max(spec.width, spec.height)
    ratio = max(width, height) / min(width, height)
    longest = _floored(max(native, sides.start * ratio) + spec.multiple - 1, spec.multiple)
    long_side = min(longest, _floored(sides.stop - 1, spec.multiple))
    short_side = max(spec.multiple, _rounded(round(long_side / ratio), spec.multiple))
    is_too_long = short_side < sides.start
    if is_too_long:
        short_side = _floored(sides.start + spec.multiple - 1, spec.multiple)
    above = width * height > spec.width * spec.height
    relation = "above" if above else "below"
    if facts is None or is_too_long:
        advised = (long_side, short_side) if width >= height else (short_side, long_side)
        hint = f"type -W {advised[0]} -H {advised[1]}" + (
            ", the longest shape that it draws well" if is_too_long else ""
        )
    else:
        one = f"-W {long_side}" if width >= height else f"-H {long_side}"
        alone = " alone" if {"width", "height"} <= typed.keys() and not typed.get("fit") else ""
        hint = f"type {'--fit ' if above else ''}{one}{alone}"
    cost = ""
    if above:
        times = render_number(float(f"{width * height / (spec.width * spec.height):.2g}"))
        cost = f", and takes at least {times} times the time and memory of {spec.width}×{spec.height}"
    return (
        f"{width}×{height} is {relation} the sizes that {spec.name} draws well "
        f"({sides.start} to {sides.stop - 1} a side){cost}: {hint}"
    )


def _is_kept(settings: Mapping[str, Any]) -> bool:
    """Whether the init picture is kept, without any model drawing it."""
    return bool(in_force("strength", settings) == 0 and in_force("variation_amount", settings) == 0)


def _floored(side: float, multiple: int) -> int:
    return max(multiple, int(side) // multiple * multiple)


def _rounded(side: int, multiple: int) -> int:
    return (side + multiple // 2) // multiple * multiple

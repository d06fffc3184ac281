"""How large a picture is drawn: `-W`, `-H` and `--fit`, the model's multiple, the init picture's own size."""

from collections.abc import Iterator, Mapping
from typing import Any

from invoke.errors import RequestError
from invoke.images import PictureFacts, target_size
from invoke.language.switches import by_name, in_force
from invoke.models import ModelSpec
from invoke.request import Request

SIDES = range(64, 8192 + 1)
"""Pixels."""


def drawn_size(
    settings: Mapping[str, Any], spec: ModelSpec, facts: PictureFacts | None, columns: Mapping[str, int]
) -> tuple[int, int]:
    """Width and height in pixels. Raises RequestError."""
    multiple = _multiple(settings, spec, facts)
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
    if width not in SIDES or height not in SIDES:
        raise RequestError(
            f"the picture would be {width}×{height}, each side needs {SIDES.start} to {SIDES.stop - 1} pixels",
            code="bad_size",
            column=columns.get("init_img"),
            hint=f"say the size: -W {spec.width} -H {spec.height}",
        )
    return width, height


def check_canvas(request: Request, columns: Mapping[str, int]) -> None:
    """Raise RequestError where `-c` would extend the canvas beyond the longest side."""
    width, height = request.size
    if request.outcrop and max(width, height) not in SIDES:
        raise RequestError(
            f"-c: the picture would be {width}×{height}, a side has {SIDES.stop - 1} pixels at most",
            code="too_large",
            column=columns.get("outcrop"),
            hint="fewer pixels",
        )


def rounding(settings: Mapping[str, Any], spec: ModelSpec, facts: PictureFacts | None) -> Iterator[str]:
    """`-W/--width 250 → 256: pocket makes multiples of 8`, of each side that was asked for."""
    multiple = _multiple(settings, spec, facts)
    for name in ("width", "height"):
        if name in settings and (rounded := _rounded(settings[name], multiple)) != settings[name]:
            yield f"{by_name()[name].spelling} {settings[name]} → {rounded}: {spec.name} makes multiples of {multiple}"


def _multiple(settings: Mapping[str, Any], spec: ModelSpec, facts: PictureFacts | None) -> int:
    """What sides are rounded to: the model's own multiple, unless it will not see the picture."""
    is_kept = facts is not None and in_force("strength", settings) == 0 and in_force("variation_amount", settings) == 0
    return 1 if is_kept else spec.multiple


def _rounded(side: int, multiple: int) -> int:
    return (side + multiple // 2) // multiple * multiple

"""`-I` with models that edit by instruction: they take no strength, but may take several pictures."""

from collections.abc import Mapping
from typing import Any

from invoke.errors import RequestError
from invoke.images import describe
from invoke.language.parse import Draft
from invoke.language.resolve.init_image import Start, picture_path
from invoke.language.resolve.line_context import ErrorColumn, LineContext
from invoke.language.switches import in_force
from invoke.models import ModelSpec
from invoke.models.editors import EVERYTHING, check_mask, check_pictures, check_strength, editor_of
from invoke.models.support import is_known

MASKED = ("init_mask", "text_mask", "outcrop")
"""Switches that limit which part of a picture changes."""


def settle(draft: Draft, settings: dict[str, Any], spec: ModelSpec, start: Start) -> None:
    """Adjust `settings` to a model that edits by instruction.

    Raises RequestError, at the offending switch, for what it does not support.
    """
    more = len(in_force("more_img", settings)) if start.facts is not None else 0
    if not is_known(spec):
        return
    with ErrorColumn(draft, f"more_img {more}" if more else "model"):
        check_pictures(spec, (start.facts is not None) + more)
    if editor_of(spec) is None or start.facts is None:
        return
    with ErrorColumn(draft, "strength"):
        check_strength(spec, draft.switches.get("strength", EVERYTHING))
    settings["strength"] = EVERYTHING
    for name in MASKED:
        if in_force(name, settings) or (name == "init_mask" and (start.mask or start.facts.has_hole)):
            with ErrorColumn(draft, name):
                check_mask(spec)
    if in_force("variation_amount", settings):
        raise RequestError(
            f"-v: {spec.name} edits pictures; it cannot make variations of them",
            code="not_taken",
            column=draft.columns.get("variation_amount"),
            hint="-n 4 makes four pictures with different seeds",
        )


def more_pictures(draft: Draft, settings: Mapping[str, Any], context: LineContext, start: Start) -> tuple[str, ...]:
    """The further pictures after the init picture. Raises RequestError or PictureError."""
    found: list[str] = []
    if start.facts is None:
        return ()
    for number, typed in enumerate(in_force("more_img", settings), start=1):
        with ErrorColumn(draft, f"more_img {number}"):
            path = picture_path("init_img", typed, context, in_force("outdir", settings))
            describe(path)
        found.append(path)
    return tuple(found)

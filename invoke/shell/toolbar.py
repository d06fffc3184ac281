"""The toolbar below the prompt: the engine's state, and the size and steps of the typed line."""

import os
from collections.abc import Mapping
from typing import Any

from invoke.errors import InvokeError
from invoke.images import target_size
from invoke.images.header_size import Size, picture_size
from invoke.language.parse import Draft, read
from invoke.language.switches import SWITCHES
from invoke.models import ModelSpec
from invoke.models.spec import usual
from invoke.request import steps_left
from invoke.session import Session
from invoke.text import clean, render_number

_DEFAULTS = {row.name: row.default for row in SWITCHES}


def toolbar(line: str, session: Session) -> str:
    """The text of the toolbar. Reads only headers of pictures, so that it can be updated with every key."""
    try:
        given = _given(line, session)
        spec = session.models.find(given.get("model") or session.model)
        given = _DEFAULTS | usual(spec) | given
    except InvokeError:  # not finished yet; if it stays invalid, entering it reports the error
        return clean(_engine(session, session.model))
    return clean("  ·  ".join([_engine(session, spec.name), _size(given, spec, session), _steps(given)]))


def shortened(text: str, width: int) -> str:
    """Shorten `text` to `width` in the middle: the mistake is at the left, the suggestion at the right."""
    if len(text) <= width:
        return text
    half = (width - 1) // 2
    return f"{text[: width - 1 - half]}…{text[len(text) - half :]}"


def is_ready(session: Session) -> bool:
    """Whether the engine is ready."""
    return session.engine.state.status == "ready"


def is_settled(session: Session) -> bool:
    """Whether the engine's state does not change until a line is entered."""
    state = session.engine.state
    return state.status == "failed" or (state.status == "ready" and state.model in {"", session.model})


def why_not_loaded(session: Session) -> str:
    """Why the model could not be loaded; "" if it could, or this is not known yet."""
    state = session.engine.state
    return state.detail if state.status == "failed" else ""


def _given(line: str, session: Session) -> dict[str, Any]:
    """The switches from `line`, its presets and the session. Raises InvokeError."""
    parsed = read(line)
    if isinstance(parsed, Draft) and parsed.presets:
        from invoke.language.presets import expand

        parsed = expand(parsed, session.presets)
    typed = parsed.switches if isinstance(parsed, Draft) else {}
    return (session.defaults if typed.get("defaults", True) else {}) | dict(typed)


def _engine(session: Session, model: str) -> str:
    """`pocket on cpu float32`, `loading pocket`, `sd-1.5 (pocket on cpu float32)`."""
    state = session.engine.state
    if state.status == "ready" and not state.model:  # an engine in this process
        return model
    shown = state.where if state.status == "ready" else str(state)
    return shown if state.model == model else f"{model} ({shown})"


def _size(given: Mapping[str, Any], spec: ModelSpec, session: Session) -> str:
    width, height = (_rounded(given[side], spec.multiple) for side in ("width", "height"))
    found = _init_size(given, session) if given["init_img"] else None
    if found is not None:
        width, height = target_size(
            *found, asked_width=width, asked_height=height, fit=given["fit"], multiple=spec.multiple
        )
    return f"{width or spec.width}×{height or spec.height}"


def _rounded(side: int | None, multiple: int) -> int | None:
    return None if side is None else (side + multiple // 2) // multiple * multiple


def _init_size(given: Mapping[str, Any], session: Session) -> Size | None:
    path: str = given["init_img"]
    back = int(path[1:]) if path[0] == "-" and path[1:].isdecimal() else 0
    if 0 < back <= len(session.made):
        path = session.made[-back].path
    return picture_size(path) or picture_size(os.path.join(given["outdir"], path))  # noqa: PTH118


def _steps(given: Mapping[str, Any]) -> str:
    steps, strength = given["steps"], given["strength"]
    if not given["init_img"]:
        return f"{steps} steps"
    if given["exact_steps"] and strength > 0:
        return f"{steps} steps, exactly"
    return f"steps {steps} × {render_number(strength)} → {steps_left(steps, strength)}"

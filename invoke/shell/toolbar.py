"""The toolbar below the prompt: the engine's state, and the size and steps of the typed line."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from invoke.errors import InvokeError
from invoke.language.parse import Draft, parse, read
from invoke.session import Session
from invoke.text import clean

if TYPE_CHECKING:  # imported with the first plan
    from invoke.language.resolve.line_context import LineContext

log = logging.getLogger(__name__)

AT_ONCE = 0.005
"""Seconds that a key waits for the plan (usual: 0.001). A longer one, which opens a picture, is shown later."""
SWEPT = 6
"""Up to this many combinations of swept values are planned with every key."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the toolbar shows of a plan."""

    model: str
    size_and_steps: str


class Toolbar:
    """The text of the toolbar. A line that cannot be planned, or not yet, shows only the engine."""

    def __init__(self, session: Session, context: Callable[[], "LineContext"]) -> None:
        """`context` returns the context of a line that is entered now."""
        self._session = session
        self._context = context
        self._pool = ThreadPoolExecutor(1, "toolbar")
        self._asked: tuple[str, LineContext] | None = None
        self._found: tuple[object, Facts | None] = None, None
        """The newest answer, with what was asked."""

    def __call__(self, line: str) -> str:
        asked = line, self._context()
        if asked != self._asked:
            self._asked = asked
            work = self._pool.submit(self._look, asked)
            if not wait([work], AT_ONCE).done:
                from prompt_toolkit.application import get_app  # a piped line does without

                app = get_app()
                work.add_done_callback(lambda _: app.invalidate())
        about, facts = self._found
        return text(self._session, facts if about is self._asked else None)

    def _look(self, asked: "tuple[str, LineContext]") -> None:
        if asked is not self._asked:  # the line has changed since
            return
        try:
            self._found = asked, facts_of(*asked)
        except Exception:  # a bug, which is reported when the line is entered
            log.exception("%s", asked[0])


def text(session: Session, facts: Facts | None) -> str:
    """`pocket on cpu float32  ·  384×384  ·  steps 10 × 0.7 → 7 taken`."""
    if facts is None:
        return clean(_engine(session, session.model))
    return clean(f"{_engine(session, facts.model)}  ·  {facts.size_and_steps}")


def facts_of(line: str, context: "LineContext") -> Facts | None:
    """Size and steps as `line` is planned; a command or an empty line shows those of a prompt without switches.

    None if it cannot be planned, or sweeps over many values.
    """
    from invoke.language.resolve import resolve

    try:
        typed = read(line)
        draft = _single(typed if isinstance(typed, Draft) else parse(""))
        if draft is None:
            return None
        plan = resolve(draft, context)
        model = plan.picture(plan.count - 1).request.model
    except InvokeError:  # not finished yet; if it stays invalid, entering it reports the error
        return None
    return Facts(model, "  |>  ".join("  ·  ".join(part) for part in plan.sizes_and_steps))


def _single(draft: Draft) -> Draft | None:
    """`draft` with one picture per sweep value and with a prompt, which may still be typed; neither changes the size.

    None if it sweeps over more than SWEPT combinations. Raises InvokeError.
    """
    from invoke.language.resolve.sweep import read_axes

    before = _single(draft.before) if draft.before is not None else None
    if (draft.before is not None and before is None) or prod(
        len(axis.values) for axis in read_axes(draft, draft.switches)
    ) > SWEPT:
        return None
    return replace(
        draft, prompt=(draft.prompt or "").strip() or "…", switches={**draft.switches, "iterations": 1}, before=before
    )


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


def _engine(session: Session, model: str) -> str:
    """`pocket on cpu float32`, `loading pocket`, `sd-1.5 (pocket on cpu float32)`."""
    state = session.engine.state
    if state.status == "ready" and not state.model:  # an engine in this process
        return model
    shown = state.where if state.status == "ready" else str(state)
    return shown if state.model == model else f"{model} ({shown})"

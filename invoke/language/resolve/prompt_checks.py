"""The texts of a picture: checked, and drawn where `--wild` says so."""

import re
from collections.abc import Iterator
from dataclasses import replace

from invoke.errors import CommandError, ModelError, RequestError
from invoke.language.parse import Draft, column_in_line
from invoke.language.resolve.line_context import LineContext
from invoke.language.resolve.wildcards import draw
from invoke.models import Registry
from invoke.prompts import foreign, read_prompt
from invoke.request import Request

DRAWN = ("prompt", "negative_prompt")
"""The fields that `--wild` draws."""

_TRIGGER = re.compile(r"<[\w.-]+>")


def draw_texts(request: Request, draft: Draft, world: LineContext) -> Request:
    """`request` with the texts that its seed draws. Raises RequestError with the column."""
    texts = {name: _drawn(name, getattr(request, name), request.seed, draft, world) for name in DRAWN}
    return replace(request, prompt=texts["prompt"], negative_prompt=texts["negative_prompt"])


def check_texts(prompt: str, negative_prompt: str, draft: Draft, models: Registry) -> list[str]:
    """What is worth saying about the texts of a picture. Raises CommandError or ModelError with the column."""
    try:
        loras = read_prompt(prompt, negative_prompt).loras
    except CommandError as error:
        if error.column is None:
            error.column = draft.columns.get("negative_prompt")
        elif prompt == (draft.prompt or ""):
            error.column = column_in_line(draft, error.column)
        else:
            error.column = column_in_line(draft, 0)
            error.message += f" (drawn: {prompt})"
        raise
    for name, _ in loras:
        try:
            models.find(name, "lora")
        except ModelError as error:
            typed = re.search(rf"Lora\(\s*{re.escape(name)}", draft.line)
            error.column = typed.start() if typed else None
            raise
    text = f"{prompt} {negative_prompt}"
    return [*foreign(text), *_unknown_triggers(text, models)]


def _drawn(name: str, text: str, seed: int, draft: Draft, world: LineContext) -> str:
    try:
        return draw(text, seed, world.wildcards, salt=name)
    except RequestError as error:
        place = error.column or 0
        error.column = column_in_line(draft, place) if name == "prompt" else draft.columns.get(name)
        raise


def _unknown_triggers(text: str, models: Registry) -> Iterator[str]:
    known = {f"<{spec.name}>" for spec in models if spec.kind == "embedding"}
    known |= {trigger for spec in models for trigger in spec.triggers}
    for word in dict.fromkeys(_TRIGGER.findall(text)):
        if word not in known:
            yield f"{word}: no textual inversion has this trigger, it is read as letters (!triggers lists them)"

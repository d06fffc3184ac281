"""`!models`, `!switch`, `!triggers`: which models there are, and which one lines are made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, get_args

from invoke.command.commands import argument
from invoke.command.draft import Bang
from invoke.downloads import size_shown
from invoke.errors import ModelError
from invoke.models import Kind, ModelSpec
from invoke.models.cache import hub_address, is_on_disk
from invoke.models.spec import BELONGS
from invoke.shell.whereabouts import whereabouts

if TYPE_CHECKING:
    from invoke.session import Session
    from invoke.shell.sitting import Sitting

TITLES: Mapping[Kind, str] = {
    "model": "models",
    "controlnet": "ControlNets",
    "lora": "LoRAs",
    "embedding": "textual inversions",
    "upscaler": "upscalers",
    "text-mask": "masks from words",
    "face": "faces",
    "vae": "VAEs",
    "safety": "safety checkers",
}


def list_models(sitting: Sitting, bang: Bang) -> None:
    """`!models [TEXT]`: by kind, those that have TEXT in their entry."""
    session = sitting.session
    listed = [spec for spec in _all(session) if bang.rest.lower() in _text(spec).lower()]
    if not listed:
        raise ModelError(f"no model has '{bang.rest}' in its entry", hint="!models lists all", column=bang.column)
    name_width = max(len(spec.name) for spec in listed)
    for kind in get_args(Kind):
        group = [spec for spec in listed if spec.kind == kind]
        if group:
            sitting.terminal.say(f"{TITLES[kind]}: {BELONGS[kind][1]}")
        for spec in group:
            active = "*" if spec.name == session.model else " "
            where = whereabouts(spec, session.engine.in_memory)
            sitting.terminal.say(f"{active} {spec.name:<{name_width}}  {where:<16}  {_about(spec)}")


def switch(sitting: Sitting, bang: Bang) -> None:
    """`!switch NAME`: lines that name no model use this one from now on."""
    name = argument(bang, "a model")
    session = sitting.session
    try:
        session.switch(name)
    except ModelError as error:
        error.column = bang.column
        raise
    session.engine.load(session.model)
    sitting.terminal.say(f"{session.model} from now on{_to_fetch(session.models.find(session.model))}")


def triggers(sitting: Sitting, bang: Bang) -> None:
    """`!triggers [TEXT]`: the words that LoRAs and textual inversions were taught."""
    told = list(_triggers(sitting.session, bang.rest.lower()))
    if not told:
        raise ModelError(
            f"no LoRA or textual inversion with '{bang.rest}' is on the list"
            if bang.rest
            else "no LoRA or textual inversion is on the list",
            hint="!import_model FILE adds one, !edit_model NAME triggers WORD,WORD tells its words",
        )
    for line in told:
        sitting.terminal.say(line)


def _triggers(session: Session, text: str) -> Iterator[str]:
    for spec in session.models:
        if spec.kind in {"lora", "embedding"} and text in _text(spec).lower():
            typed = f"<{spec.name}>" if spec.kind == "embedding" else f"withLora({spec.name},1)"
            yield f"  {typed}  {', '.join(spec.triggers) or spec.description}".rstrip()


def _all(session: Session) -> list[ModelSpec]:
    """The list, and the active model where it is named by a path or hub id."""
    listed = list(session.models)
    if session.model not in session.models:
        listed.append(session.models.find(session.model))
    return listed


def _text(spec: ModelSpec) -> str:
    return " ".join((spec.name, spec.kind, spec.family, spec.weights, spec.description, spec.licence, *spec.triggers))


def _about(spec: ModelSpec) -> str:
    """Its description, or where it is; and the licence."""
    return " · ".join(part for part in (spec.description or spec.weights, spec.licence) if part)


def _to_fetch(spec: ModelSpec) -> str:
    if hub_address(spec.weights) is None or is_on_disk(spec):
        return ""
    size = size_shown(spec.megabytes) if spec.megabytes else "its weights"
    licence = f" ({spec.licence})" if spec.licence else ""
    return f"; {size}{licence} to fetch first: the next line asks"

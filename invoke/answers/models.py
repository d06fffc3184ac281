"""`!models` and `!triggers`: what is on the list of models, and the words that some of them were taught."""

from collections.abc import Iterator, Mapping
from typing import get_args

from invoke.answers.whereabouts import whereabouts
from invoke.command.draft import Bang
from invoke.errors import ModelError
from invoke.models import Kind, ModelSpec
from invoke.models.spec import BELONGS
from invoke.session import Session

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


def list_models(bang: Bang, session: Session) -> Iterator[str]:
    """`!models [TEXT]`: by kind, those that have TEXT in their entry. Raises ModelError where none has."""
    listed = [spec for spec in _all(session) if bang.rest.lower() in _text(spec).lower()]
    if not listed:
        raise ModelError(f"no model has '{bang.rest}' in its entry", hint="!models lists all", column=bang.column)
    name_width = max(len(spec.name) for spec in listed)
    for kind in get_args(Kind):
        group = [spec for spec in listed if spec.kind == kind]
        if group:
            yield f"{TITLES[kind]}: {BELONGS[kind][1]}"
        for spec in group:
            active = "*" if spec.name == session.model else " "
            where = whereabouts(spec, session.engine.in_memory)
            yield f"{active} {spec.name:<{name_width}}  {where:<16}  {_about(spec)}"


def list_triggers(bang: Bang, session: Session) -> Iterator[str]:
    """`!triggers [TEXT]`: the words that LoRAs and textual inversions were taught. Raises ModelError without any."""
    told = list(_trigger_lines(session, bang.rest.lower()))
    if not told:
        raise ModelError(
            f"no LoRA or textual inversion with '{bang.rest}' is on the list"
            if bang.rest
            else "no LoRA or textual inversion is on the list",
            hint="!import_model FILE adds one, !edit_model NAME triggers WORD,WORD tells its words",
        )
    yield from told


def _trigger_lines(session: Session, text: str) -> Iterator[str]:
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

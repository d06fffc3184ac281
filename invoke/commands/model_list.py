"""`!switch`, `!import_model`, `!edit_model`, `!del_model`: the active model and the user's own list of models."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.commands.context import CommandContext
from invoke.commands.info import whereabouts
from invoke.commands.model_discovery import discovered, is_on_hub
from invoke.errors import ModelError
from invoke.language.command_table import argument, arguments, expect
from invoke.language.parse import CommandCall
from invoke.models import ModelSpec, read_registry
from invoke.models.hub.cache import hub_address, is_on_disk, kept_folder
from invoke.models.hub.consent import size_shown
from invoke.models.list_editing import remove_entry, set_entry
from invoke.models.recognise import gaps_of
from invoke.models.registry import check_name
from invoke.models.yaml_lists import DEFAULTS, HIDDEN, read_rows, shipped_rows
from invoke.paths import expanded

if TYPE_CHECKING:
    from invoke.session import Session


ADDED = ("controlnet", "lora", "embedding", "vae")
"""Kinds that work only with models of one family."""


def import_model(context: CommandContext, call: CommandCall) -> None:
    """`!import_model X [NAME]`: X is a hub id, a folder, a file, or a folder of these."""
    expect(call, "a hub id, a folder or a file")
    words = [word.text for word in arguments(call)]
    if len(words) > 2:
        raise ModelError(
            f"!import_model expects a model and optionally a name, not {len(words)} words",
            code="bad_value",
            column=call.column,
            hint="a path with spaces needs quotes",
        )
    if not add(context, *words):
        raise ModelError(f"{words[0]}: nothing was added", column=call.column)


def add(context: CommandContext, source: str, name: str = "") -> int:
    """Add what `source` holds to the list and report it; return the number of entries. Raises ModelError."""
    added = 0
    if is_on_hub(source):
        context.note(f"asking the hub about {source} …")
    for found in discovered(source, name, context.session.models):
        if isinstance(found, ModelError):
            context.note(f"{found.message}{f' ({found.hint})' if found.hint else ''}")
            continue
        spec = _completed(context, found)
        change(context, spec.name, fields_of(spec))
        context.say(f"added: {_line(spec, context.session)}")
        added += 1
    return added


def _completed(context: CommandContext, spec: ModelSpec) -> ModelSpec:
    """`spec` with missing facts asked from the user; missing components are noted, with the field that adds them."""
    gaps = gaps_of(spec)
    if "prediction_type" in gaps:
        fields = "prediction_type v_prediction (768×768) or epsilon (512×512)"
        if context.in_file:
            context.note(f"{spec.name} does not say what it predicts: !edit_model {spec.name} {fields}")
        elif context.ask(f"{spec.name} is Stable Diffusion 2: does it predict v, like the 768×768 version?"):
            spec = replace(spec, prediction_type="v_prediction")
        else:
            spec = replace(spec, prediction_type="epsilon", width=512, height=512)
    if missing := [part for part in gaps if part != "prediction_type"]:
        lacking = " and no ".join(part.replace("_", " ").replace("vae", "VAE") for part in missing)
        field = "vae NAME" if missing == ["vae"] else "base NAME (a model that has them)"
        context.note(f"{spec.name} has no {lacking}: !edit_model {spec.name} {field}")
    return spec


def edit_model(context: CommandContext, call: CommandCall) -> None:
    """`!edit_model NAME [field value | field=value]…`: change an entry; without fields, show it."""
    expect(call, "a model and what is to change: !edit_model NAME sampler ddim width 640")
    name, *words = [word.text for word in arguments(call)]
    session = context.session
    rows, shipped = read_rows(_file(session)), shipped_rows()
    if name not in rows and name not in shipped:
        session.models.named(name)  # says what is near
    if not words:
        for key, value in {**shipped.get(name, {}), **rows.get(name, {})}.items():
            context.say(f"  {key}: {', '.join(value) if isinstance(value, list) else value}")
        return
    change(context, name, {**rows.get(name, {}), **_changes(words, call)})
    place = whereabouts(session.models.named(name), session.engine.in_memory) if name in session.models else "hidden"
    context.say(f"changed: {name} ({place})")
    if name == session.model:
        session.engine.load(name)


def del_model(context: CommandContext, call: CommandCall) -> None:
    """`!del_model NAME`: remove an entry; its weights are deleted only after a second question."""
    expect(call, "a model")
    name = " ".join(word.text for word in arguments(call))
    session = context.session
    if name == session.model:
        raise ModelError(f"{name} is in use", hint="!switch to another one first", column=call.column)
    rows, shipped = read_rows(_file(session)), shipped_rows()
    if name not in rows and name not in shipped:
        session.models.named(name)  # says what is near
    weights = str({**shipped.get(name, {}), **rows.get(name, {})}.get("weights", ""))
    if name in rows and name in shipped:
        question, outcome = f"discard your changes to {name}?", f"{name} is as shipped again"
    elif name in rows:
        question, outcome = f"remove {name} from the list?", f"{name} was removed from the list"
    else:
        question, outcome = f"{name} is shipped with the program: hide it?", f"hidden; !edit_model {name} hidden=false"
    if not context.ask(question):
        context.say("nothing was changed")
        return
    change(context, name, None if name in rows else {HIDDEN: True})
    context.say(outcome)
    offer_to_delete(context, weights)


def change(context: CommandContext, name: str, fields: Mapping[str, Any] | None) -> None:
    """Change the list and reload it. On ModelError, the list stays as it was."""
    file = _file(context.session)
    if fields is not None:
        check_name(name)
    kept = remove_entry(file, name) if fields is None else set_entry(file, name, fields)
    if not kept:
        context.note(f"{file} was rewritten without its comments")
    context.session.set_models(read_registry(file))


def fields_of(spec: ModelSpec) -> dict[str, Any]:
    """The fields of an entry for `spec`, without defaults."""
    fields = {key: getattr(spec, key) for key, default in DEFAULTS.items() if getattr(spec, key) != default}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}


def _file(session: Session) -> Path:
    assert session.models_file is not None
    return session.models_file


def _changes(words: list[str], call: CommandCall) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    queue = list(words)
    while queue:
        key, equals, text = queue.pop(0).partition("=")
        if not equals:
            if not queue:
                raise ModelError(f"{key} needs a value", code="bad_field", column=call.column)
            text = queue.pop(0)
        changes[key] = _value(key, text, call)
    return changes


def _value(key: str, text: str, call: CommandCall) -> Any:
    """`text` converted to the type of field `key`; other checks happen when the list is written."""
    default = False if key == HIDDEN else DEFAULTS.get(key)
    try:
        match default:
            case bool():
                return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]
            case int():
                return int(text)
            case float():
                return float(text)
            case tuple():
                return [word.strip() for word in text.split(",") if word.strip()]
    except (KeyError, ValueError):
        allowed = "true or false" if isinstance(default, bool) else "a number"
        raise ModelError(f"{key} must be {allowed}, not '{text}'", code="bad_field", column=call.column) from None
    return text


def _line(spec: ModelSpec, session: Session) -> str:
    if spec.kind == "model":
        summary = f"{spec.family}, {spec.width}×{spec.height}"
    else:
        summary = f"{spec.kind} for {spec.family}" if spec.kind in ADDED else spec.kind
    return f"{spec.name} ({summary}), {whereabouts(spec, session.engine.in_memory)}"


def switch(context: CommandContext, call: CommandCall) -> None:
    """`!switch NAME`: the model for all following lines without -m."""
    name = argument(call, "a model")
    session = context.session
    try:
        session.switch(name)
    except ModelError as error:
        error.column = call.column
        raise
    if not context.in_file:
        session.engine.load(session.model)
    context.confirm(f"now using {session.model}{_to_fetch(session.models.find(session.model))}")


def _to_fetch(spec: ModelSpec) -> str:
    if hub_address(spec.weights) is None or is_on_disk(spec):
        return ""
    size = size_shown(spec.megabytes) if spec.megabytes else "its weights"
    licence = f" ({spec.licence})" if spec.licence else ""
    return f"; {size}{licence} to download first: the next line asks before it does"


def offer_to_delete(context: CommandContext, weights: str) -> None:
    """Ask whether to delete `weights`, if no entry uses them. Raises ModelError if they cannot be deleted.

    Only single files and downloads from the hub are deleted: a folder may contain other things.
    """
    path = _place(weights)
    if path is None or any(_place(spec.weights) == path for spec in context.session.models):
        return
    if hub_address(weights) is None and path.is_dir():
        context.say(f"its weights stay in {path}")
        return
    size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file() and not file.is_symlink())
    if not context.ask(f"its weights are in {path} ({size_shown(size / 1e6)}): delete them as well?"):
        context.say("its weights stay")
        return
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        raise ModelError(f"{path}: cannot be deleted: {error.strerror or error}") from error
    context.say(f"deleted: {path}")


def _place(weights: str) -> Path | None:
    """The file or folder of `weights`, or its folder in the hub's cache."""
    address = hub_address(weights)
    path = kept_folder(address.repository) if address else expanded(weights)
    return path if weights and path.exists() else None

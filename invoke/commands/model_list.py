"""`!switch`, `!import_model`, `!edit_model`, `!del_model`: the active model and the user's own list of models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.commands.context import CommandContext
from invoke.commands.info import whereabouts
from invoke.engine.process.identify import Identify
from invoke.errors import ModelError
from invoke.language.command_table import argument, arguments, expect
from invoke.language.parse import CommandCall
from invoke.models import ModelSpec, Registry, read_registry
from invoke.models.folder import check_folder
from invoke.models.hub.cache import hub_address, is_on_disk, is_whole, kept_folder
from invoke.models.hub.consent import size_shown
from invoke.models.hub.inspect_process import Inspect
from invoke.models.list_editing import remove_entry, set_entry
from invoke.models.recognise import ADDED_FILES, PICKLES, gaps_of, recognise_file, recognise_folder
from invoke.models.registry import check_name, name_for
from invoke.models.yaml_lists import DEFAULTS, HIDDEN, read_rows, shipped_rows
from invoke.paths import expanded
from invoke.processes import ask_child

if TYPE_CHECKING:
    from invoke.session import Session


ADDED = ("controlnet", "lora", "embedding", "vae")
"""The kinds that fit the models of one family."""


def import_model(context: CommandContext, call: CommandCall) -> None:
    """`!import_model X [NAME]`: X is a hub id, a folder, a file, or a folder of these."""
    expect(call, "a hub id, a folder or a file")
    words = [word.text for word in arguments(call)]
    if len(words) > 2:
        raise ModelError(
            f"!import_model takes one model and a name for it, not {len(words)} words",
            code="bad_value",
            column=call.column,
            hint="a path with spaces needs quotes",
        )
    if not add(context, *words):
        raise ModelError(f"{words[0]}: nothing was added", column=call.column)


def add(context: CommandContext, source: str, name: str = "") -> int:
    """Add what `source` holds to the list and report it; return the number of entries. Raises ModelError."""
    added = 0
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
    """`spec` with what its file does not say, asked once; what it lacks is noted with the field that supplies it."""
    gaps = gaps_of(spec)
    if "prediction_type" in gaps:
        fields = "prediction_type v_prediction (768×768) or epsilon (512×512)"
        if context.in_file:
            context.note(f"{spec.name} does not say what it predicts: !edit_model {spec.name} {fields}")
        elif context.ask(f"{spec.name} is Stable Diffusion 2: does it predict v, as the one for 768×768 does?"):
            spec = replace(spec, prediction_type="v_prediction")
        else:
            spec = replace(spec, prediction_type="epsilon", width=512, height=512)
    if missing := [part for part in gaps if part != "prediction_type"]:
        lacking = " and no ".join(part.replace("_", " ").replace("vae", "VAE") for part in missing)
        field = "vae NAME" if missing == ["vae"] else "base NAME (a model that has them)"
        context.note(f"{spec.name} has no {lacking}: !edit_model {spec.name} {field}")
    return spec


def edit_model(context: CommandContext, call: CommandCall) -> None:
    """`!edit_model NAME [field value | field=value]…`: alone, shows the entry."""
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
    """`!del_model NAME`: off the list; its weights only after another yes."""
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
        question, outcome = f"forget your changes to {name}?", f"{name} is as shipped once more"
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
    """Change the list and use it. Raises ModelError, with the list as it was."""
    file = _file(context.session)
    if fields is not None:
        check_name(name)
    kept = remove_entry(file, name) if fields is None else set_entry(file, name, fields)
    if not kept:
        context.note(f"{file} was rewritten without its comments")
    context.session.set_models(read_registry(file))


def fields_of(spec: ModelSpec) -> dict[str, Any]:
    """What an entry says of `spec`: all that is not said by saying nothing."""
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
    """`text` as the field `key` has it; what cannot be one is refused when it is written."""
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
    """`!switch NAME`: lines that name no model use this one from now on."""
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
    return f"; {size}{licence} to download first: the next line asks"


def offer_to_delete(context: CommandContext, weights: str) -> None:
    """Ask whether `weights` shall be deleted, if nothing on the list uses them. Raises ModelError where they cannot be.

    Only what is one file, or what was fetched from the hub: a folder may hold other things.
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
    """The file or folder, or the folder of the hub's cache, that goes when `weights` go."""
    address = hub_address(weights)
    path = kept_folder(address.repository) if address else expanded(weights)
    return path if weights and path.exists() else None


HUB = "https://huggingface.co/"
MOST = 500
"""Entries that one folder of files gives."""
DEEPEST = 4
_WHOLE = ("model_index.json", "config.json", *ADDED_FILES)
"""A folder with one of these is one model."""


def discovered(source: str, name: str, models: Registry) -> Iterator[ModelSpec | ModelError]:
    """An entry for each thing that `source` holds, with a name that is free, or why it can be none.

    `name`: what the user calls it. Raises ModelError where `source` is one thing, and that cannot be added.
    """
    path = expanded(source)
    if path.is_dir() and not any((path / file).is_file() for file in _WHOLE):
        if name:
            raise ModelError(f"{source}: this folder holds several models, which cannot all be called {name}")
        yield from _several(source, path.absolute(), models)
        return
    name = name or name_for(source)
    check_name(name)
    if name in models:
        raise ModelError(
            f"{name} is on the list already", code="taken", hint=f"choose another name: !import_model {source} NAME"
        )
    yield _on_hub(source, name) if not path.exists() else _on_disk(path.absolute(), name)


def _several(source: str, folder: Path, models: Registry) -> Iterator[ModelSpec | ModelError]:
    taken, listed = set(models.names), {spec.weights for spec in models}
    paths = list(_weights_in(folder, DEEPEST))[:MOST]
    if not paths:
        raise ModelError(
            f"{source}: nothing was added: there is no model in this folder or its subfolders",
            hint="a model is a folder as diffusers saves it or a .safetensors file; a hub id is owner/repository",
        )
    for path in paths:
        if str(path) in listed:
            yield ModelError(f"{path} is on the list already", code="taken")
            continue
        name = _free(name_for(str(path)), taken)
        try:
            yield _on_disk(path, name)
        except ModelError as error:
            yield error
        else:
            taken.add(name)


def _weights_in(folder: Path, depth: int) -> Iterator[Path]:
    """The folders and files below `folder` that could be models."""
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    for path in inside:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if any((path / file).is_file() for file in _WHOLE):
                yield path
            elif depth:
                yield from _weights_in(path, depth - 1)
        elif path.suffix in {".safetensors", *PICKLES}:
            yield path


def _on_disk(path: Path, name: str) -> ModelSpec:
    if path.suffix in PICKLES and path.is_file():
        raise ModelError(
            f"{path}: a pickle file can hold code and is not opened", code="pickle", hint=f"!optimize_model {path}"
        )
    if path.is_file() and path.suffix != ".safetensors":
        raise ModelError(
            f"{path}: this is not a .safetensors file", hint="name a folder, a .safetensors file or a hub id"
        )
    spec = _recognised(path) if path.is_file() else recognise_folder(str(path), path)
    if path.is_dir() and spec.kind == "model":
        check_folder(str(path), path)
    elif not is_whole(str(path)):
        raise ModelError(f"{path}: this model is incomplete: it has no .safetensors file", hint="download it again")
    return replace(spec, name=name, weights=str(path), description="")


def _recognised(path: Path) -> ModelSpec:
    try:
        return recognise_file(str(path), path)
    except ModelError as error:
        if error.code != "unknown_family":
            raise
        try:
            found: ModelSpec = ask_child("invoke.engine.process.identify", Identify(str(path), path), error.message)
        except ModelError as other:
            raise other if other.code == "wrong_kind" else error from None
        return found


def _on_hub(source: str, name: str) -> ModelSpec:
    address = hub_address(
        source.removeprefix(HUB).replace("/resolve/main/", "/").replace("/blob/main/", "/").rstrip("/")
    )
    if address is None:
        raise ModelError(
            f"{source}: there is no such folder or file, and it is not a hub id",
            hint="a hub id is owner/repository",
        )
    found: ModelSpec = ask_child(
        "invoke.models.hub.inspect_process", Inspect(name, address), f"{name}: the hub did not answer"
    )
    return replace(found, name=name, description="")


def _free(name: str, taken: set[str]) -> str:
    """`name`, or `name-2`, …"""
    return next(
        candidate
        for number in range(1, MOST + 2)
        if (candidate := f"{name}-{number}" if number > 1 else name) not in taken
    )

"""What a hub id, a folder or a file holds, as entries for the list of models."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from invoke.engine.asking import ask_child
from invoke.engine.folders import check_folder
from invoke.engine.looker import Look
from invoke.errors import ModelError
from invoke.models import ModelSpec, Registry
from invoke.models.cache import hub_address, is_whole
from invoke.models.files import PICKLES, recognise_file
from invoke.models.folders import recognise_folder
from invoke.models.naming import check_name, name_for
from invoke.paths import expanded

HUB = "https://huggingface.co/"
MOST = 500
"""Entries that one folder of files gives."""
DEEPEST = 4
_WHOLE = ("model_index.json", "config.json", "pytorch_lora_weights.safetensors", "learned_embeds.safetensors")
"""A folder with one of these is one model."""


def discovered(what: str, name: str, models: Registry) -> Iterator[ModelSpec | ModelError]:
    """An entry for each thing that `what` holds, with a name that is free, or why it can be none.

    `name`: what the user calls it. Raises ModelError where `what` is one thing, and that cannot be added.
    """
    path = expanded(what)
    if path.is_dir() and not any((path / file).is_file() for file in _WHOLE):
        if name:
            raise ModelError(f"{what}: this folder holds several things, so they cannot all be called {name}")
        yield from _several(what, path.absolute(), models)
        return
    name = name or name_for(what)
    check_name(name)
    if name in models:
        raise ModelError(
            f"{name} is on the list already", code="taken", hint=f"say another name: !import_model {what} NAME"
        )
    yield _on_hub(what, name) if not path.exists() else _on_disk(path.absolute(), name)


def _several(what: str, folder: Path, models: Registry) -> Iterator[ModelSpec | ModelError]:
    taken, known = set(models.names), {spec.weights for spec in models}
    things = list(_things(folder, DEEPEST))[:MOST]
    if not things:
        raise ModelError(
            f"{what}: nothing was added: there is no model in this folder, nor in those in it",
            hint="a model is a folder as diffusers saves it or a .safetensors file; a hub id is owner/repository",
        )
    for path in things:
        if str(path) in known:
            yield ModelError(f"{path} is on the list already", code="taken")
            continue
        name = _free(name_for(str(path)), taken)
        try:
            yield _on_disk(path, name)
        except ModelError as error:
            yield error
        else:
            taken.add(name)


def _things(folder: Path, depth: int) -> Iterator[Path]:
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
                yield from _things(path, depth - 1)
        elif path.suffix in {".safetensors", *PICKLES}:
            yield path


def _on_disk(path: Path, name: str) -> ModelSpec:
    if path.suffix in PICKLES and path.is_file():
        raise ModelError(
            f"{path}: a pickle file can hold code and is not opened", code="pickle", hint=f"!optimize_model {path}"
        )
    if path.is_file() and path.suffix != ".safetensors":
        raise ModelError(f"{path}: this is no .safetensors file", hint="name a folder, a .safetensors file or a hub id")
    spec = recognise_file(str(path), path) if path.is_file() else recognise_folder(str(path), path)
    if path.is_dir() and spec.kind == "model":
        check_folder(str(path), path)
    elif not is_whole(str(path)):
        raise ModelError(f"{path}: this model is incomplete: it has no .safetensors file", hint="fetch it again")
    return replace(spec, name=name, weights=str(path), description="")


def _on_hub(what: str, name: str) -> ModelSpec:
    address = hub_address(what.removeprefix(HUB).replace("/resolve/main/", "/").replace("/blob/main/", "/").rstrip("/"))
    if address is None:
        raise ModelError(
            f"{what}: there is no such folder or file, and it is no hub id",
            hint="a hub id is owner/repository",
        )
    found: ModelSpec = ask_child(
        "invoke.engine.looker", Look(name, address), f"{name}: the hub was asked, and no answer came"
    )
    return replace(found, name=name, description="")


def _free(name: str, taken: set[str]) -> str:
    """`name`, or `name-2`, …"""
    return next(
        each for number in range(1, MOST + 2) if (each := f"{name}-{number}" if number > 1 else name) not in taken
    )

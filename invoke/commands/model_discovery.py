"""`!import_model`: makes entries for the models in a hub id, a folder or a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from invoke.engine.process.identify import Identify
from invoke.errors import ModelError
from invoke.models import ModelSpec, Registry
from invoke.models.folder import check_folder
from invoke.models.gguf import SUFFIX as GGUF
from invoke.models.gguf import named_alone
from invoke.models.hub.cache import Address, hub_address, is_whole
from invoke.models.hub.inspect_process import Inspect
from invoke.models.recognise import ADDED_FILES, PICKLES, recognise_file, recognise_folder
from invoke.models.registry import check_name, name_for
from invoke.paths import expanded
from invoke.processes import ask_child

HUB = "https://huggingface.co/"
MOST = 500
"""Maximum number of entries from one folder of files."""
DEEPEST = 4
_WHOLE = ("model_index.json", "config.json", *ADDED_FILES)
"""A folder with one of these is one model."""


def discovered(source: str, name: str, models: Registry) -> Iterator[ModelSpec | ModelError]:
    """For each model in `source`, an entry with an unused name, or the error that prevents one.

    `name` is the user's choice. Raises ModelError if `source` is a single model that cannot be added.
    """
    path = expanded(source)
    if path.is_dir() and not any((path / file).is_file() for file in _WHOLE):
        if name:
            raise ModelError(f"{source}: this folder contains several models, which cannot all be called {name}")
        yield from _several(source, path.absolute(), models)
        return
    name = name or name_for(source)
    check_name(name)
    if name in models:
        raise ModelError(
            f"{name} is already on the list", code="taken", hint=f"choose another name: !import_model {source} NAME"
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
            yield ModelError(f"{path} is already on the list", code="taken")
            continue
        name = _free(name_for(str(path)), taken)
        try:
            yield _on_disk(path, name)
        except ModelError as error:
            yield error
        else:
            taken.add(name)


def _weights_in(folder: Path, depth: int) -> Iterator[Path]:
    """Folders and files below `folder` that may be models."""
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
            f"{path}: a pickle file can contain code and is not opened", code="pickle", hint=f"!optimize_model {path}"
        )
    if path.suffix == GGUF:
        raise named_alone(str(path))
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


def is_on_hub(source: str) -> bool:
    """Whether the hub is asked what `source` is."""
    return not expanded(source).exists() and _address(source) is not None


def _address(source: str) -> Address | None:
    return hub_address(source.removeprefix(HUB).replace("/resolve/main/", "/").replace("/blob/main/", "/").rstrip("/"))


def _on_hub(source: str, name: str) -> ModelSpec:
    address = _address(source)
    if address is None:
        raise ModelError(
            f"{source}: there is no such folder or file, and it is not a hub id",
            hint="a hub id is owner/repository",
        )
    if address.file.endswith(GGUF):
        raise named_alone(source)
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

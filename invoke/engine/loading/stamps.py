"""Stamps detect changed files, so that no cache outlives the files it was made from."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from invoke.engine.adapters import adapter_names
from invoke.errors import ModelError
from invoke.models import Kind, ModelSpec, Registry
from invoke.models.hub.cache import located
from invoke.models.upscaling import tools_of
from invoke.paths import expanded
from invoke.request import Request

Stamp = tuple[object, ...]


def image_stamp(path: str | None) -> Stamp:
    """The stamp of the file at `path`; it changes when the file does."""
    return (path, _stamp(expanded(path)) if path else None)


def weights_stamp(spec: ModelSpec, models: Registry) -> Stamp:
    """The stamp of all files that a model of any kind is loaded from; empty if they are not on this disk."""
    own = tuple(stamp for weights in (spec.weights, spec.config, spec.prior, spec.gguf) for stamp in _stamps(weights))
    return own + tuple(stamp for name, kind in spec.companions for stamp in _found(models, name, kind))


def request_stamp(request: Request, models: Registry) -> Stamp:
    """The stamp of all files that the picture of `request` depends on."""
    before = request_stamp(request.before, models) if request.before else ()
    stamps = [_found(models, name, kind) for name, kind in _models_of(request, models)]
    return (*before, *(image_stamp(path) for path in request.pictures), *stamps)


def _models_of(request: Request, models: Registry) -> Iterator[tuple[str, Kind]]:
    if request.is_drawn:
        yield request.model, "model"
        if request.refiner is not None:
            yield request.refiner[0], "model"
        for name, *_ in request.controls:
            yield name, "controlnet"
        for name, _, _ in request.ip_adapters:
            yield name, "ip-adapter"
        yield from adapter_names(request, models)
    for name in tools_of(request):
        yield name, "upscaler"
    if request.facetool is not None:
        yield request.facetool, "face"


def _found(models: Registry, name: str, kind: Kind) -> Stamp:
    try:
        return weights_stamp(models.find(name, kind), models)
    except ModelError:
        return ()  # loading it raises the error


def _stamps(weights: str) -> Iterator[Stamp]:
    """The stamp of a file, or of each file in a folder; none if it is not on this disk."""
    path = located(weights) if weights else None
    if path is not None:
        for file in sorted(_inside(str(path), depth=2)) or [str(path)]:
            yield file, _stamp(file)


def _inside(folder: str, depth: int) -> Iterator[str]:
    """Paths in a folder, and in its subfolders down to `depth`; nothing for a file."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            yield entry.path
            if depth > 1 and entry.is_dir():
                yield from _inside(entry.path, depth - 1)


def _stamp(path: str | Path) -> Stamp | None:
    """Device, inode, times and size; None if there is no such file: opening it raises the error."""
    try:
        found = os.stat(path)  # noqa: PTH116 - fast: called for every file of a model, at every picture
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size

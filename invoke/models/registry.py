"""Registry: finds models by name; rules for names, and default names for folders, files and hub ids."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from invoke.errors import ModelError
from invoke.models.families import FAMILIES
from invoke.models.gguf import SUFFIX as GGUF
from invoke.models.gguf import named_alone
from invoke.models.hub.cache import hub_address, is_whole, located
from invoke.models.recognise import PICKLES, is_v2_base, recognise_file, recognise_folder
from invoke.models.spec import BELONGS, Kind, ModelSpec
from invoke.paths import expanded, is_there
from invoke.samplers import SAMPLERS
from invoke.text import did_you_mean


class Registry:
    """Models by name, in the order of the files; later files override earlier ones. Names are unique over all kinds."""

    def __init__(self, specs: Mapping[str, ModelSpec]) -> None:
        self._specs = dict(specs)

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._specs.values())

    def __contains__(self, name: str) -> bool:
        return name in self._specs

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._specs)

    def named(self, name: str) -> ModelSpec:
        """The entry called `name`, of any kind. Raises ModelError with the most similar name."""
        if name in self._specs:
            return self._specs[name]
        raise _unknown(name, "entry", self.names)

    def find(self, name: str, kind: Kind = "model") -> ModelSpec:
        """The entry called `name`, or the spec of the folder, file or hub id `name`; it must be of this `kind`.

        Raises ModelError with the most similar name, or with the actual kind and where it is used.
        """
        spec = self._specs.get(name)
        spec = recognise(name, kind) if spec is None else _completed(spec)
        if spec is None:
            kind_shown = BELONGS[kind][0].removeprefix("a whole ").removeprefix("a ").removeprefix("an ")
            raise _unknown(name, kind_shown, [spec.name for spec in self if spec.kind == kind])
        if spec.kind == "model" and kind == "vae" and FAMILIES[spec.family].comes_in_one_file:
            return spec  # use the model's VAE
        if spec.kind != kind:
            kind_shown, place = BELONGS[spec.kind]
            raise ModelError(
                f"{name}: this is {kind_shown}; use it with {place}, not with {BELONGS[kind][1]}", code="wrong_kind"
            )
        return spec


def _completed(spec: ModelSpec) -> ModelSpec:
    """Complete `spec` from its files if its entry does not set a family and they are on this disk."""
    if "family" in spec.stated or spec.kind not in RECOGNISED or not spec.stated:
        return spec
    path = located(spec.weights)
    if path is None or not is_whole(spec.weights, spec.without):
        return spec
    try:
        found = recognise_folder(spec.name, path) if path.is_dir() else recognise_file(spec.name, path, spec.kind)
    except ModelError:
        return spec  # loading it raises the error
    if is_v2_base(found.family, found.width, spec.prediction_type):
        found = replace(found, width=512, height=512)
    stated = {name: getattr(spec, name) for name in {"description", *spec.stated}}
    return replace(found, stated=spec.stated, **stated)


RECOGNISED: tuple[Kind, ...] = ("model", "controlnet", "ip-adapter", "lora", "vae", "embedding")
"""Kinds whose family can be recognised from the files."""


def _unknown(name: str, kind: str, names: Sequence[str]) -> ModelError:
    suggestion = did_you_mean(name, names)
    return ModelError(f"no {kind} is called '{name}'{suggestion}", hint="!models lists them")


def recognise(name: str, kind: Kind = "model") -> ModelSpec | None:
    """Recognise the folder, file or hub id `name`; a hub id that is not downloaded is assumed to be of `kind`.

    None if it is none of these. Raises ModelError if it cannot be used.
    """
    path = expanded(name)
    if is_there(path) and path.is_dir():
        return recognise_folder(name, path)
    if path.suffix == ".safetensors" and is_there(path) and path.is_file():
        return recognise_file(name, path, kind)
    if path.suffix == GGUF:
        raise named_alone(name)
    if path.suffix in PICKLES:
        raise ModelError(
            f"{name}: weights in pickle files can contain code and are not opened",
            hint=f"!optimize_model {name} converts them to .safetensors without running any code",
        )
    address = hub_address(name)
    if address is None:
        return None
    cached = located(name) if is_whole(name) else None
    if cached is not None and address.file:
        return recognise_file(name, cached, kind, weights=name)
    if cached is not None:
        return recognise_folder(name, cached, weights=name)
    return ModelSpec(
        name=name, weights=name, kind=kind, family="auto", sampler=FAMILIES["auto"].sampler, description="hub id"
    )


_NAME = re.compile(r"\w[\w.+-]*")


def check_name(name: str) -> None:
    """Raise ModelError if `name` could not be typed after `-m`, or would mean something else there."""
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"'{name}' is not a valid name: use letters, digits and . _ + -, beginning with a letter or digit",
            code="bad_name",
        )
    if name in SAMPLERS:
        raise ModelError(f"'{name}' is the name of a sampler and cannot be used for a model", code="bad_name")


def name_for(weights: str) -> str:
    """The default name: `owner/My Model` → `My-Model`, `models/fire v2.safetensors` → `fire-v2`."""
    path = Path(weights)
    stem = path.stem if path.suffix in {".safetensors", ".ckpt", ".pt", ".pth", ".bin"} else path.name
    return re.sub(r"^[^\w]+|[^\w.+-]+", "-", stem).strip("-.") or "model"

"""A model folder in diffusers layout, checked before anything is loaded from it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.models.families import _FOREIGN, LIBRARIES, PARTS, PRIOR, TOKENIZERS
from invoke.models.safetensors_header import read_header
from invoke.models.spec import Family

INDEX = "model_index.json"
STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
"""How a library calls its weight files."""
CONFIGS = ("model_index.json", "*/*.json", "tokenizer*/*")
WEIGHTS = {
    part: STEMS[LIBRARIES[kind]] for parts in PARTS.values() for part, kind in parts.items() if kind in LIBRARIES
}
"""The parts that may have weights, and how their files are called."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that holds a whole model."""

    path: Path
    family: Family
    kinds: Mapping[str, str]
    """Part → class, of the parts that the family needs; of another family, all."""
    variant: str | None
    """`fp16` when only files named so are there."""
    files: tuple[Path, ...]
    """All weight files of these parts."""
    index: Mapping[str, Any]
    """What `model_index.json` says."""


def check_folder(name: str, path: Path) -> ModelFolder:
    """What of the model called `name` lies in the folder `path`.

    Raises ModelError when it is no model, or not whole.
    """
    index = read_json(name, path / INDEX)
    every = {
        part: str(entry[1]).removesuffix("Fast")
        for part, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None
    }
    family = _family(every)
    kinds = PARTS.get(family) or {part: kind for part, kind in every.items() if (path / part / "config.json").is_file()}
    if family == "kandinsky":
        prior = {f"prior_{part}": kind for part, kind in PRIOR.items()}
        kinds = {**kinds, **{part: kind for part, kind in prior.items() if every.get(part) == kind}}
    for part, kind in kinds.items():
        if kind in TOKENIZERS:
            if not (path / part / "tokenizer_config.json").is_file():
                raise _incomplete(name, f"{part}/tokenizer_config.json")
        else:
            read_json(name, path / part / "config.json")
    read_json(name, path / "scheduler" / "scheduler_config.json")
    stems = {part: STEMS[_library(index, part)] for part, kind in kinds.items() if kind not in TOKENIZERS}
    for variant in (None, "fp16"):
        files = {part: _weight_files(path / part, stem, variant) for part, stem in stems.items()}
        if all(files.values()):
            whole = tuple(file for group in files.values() for file in group)
            for file in whole:
                read_header(file)
            return ModelFolder(path, family, kinds, variant, whole, index)
    missing = next(part for part in stems if not _weight_files(path / part, stems[part], None))
    if any((path / missing).glob("*.bin")):
        raise ModelError(
            f"{name}: the weights of its {missing} are pickle files, which can hold code and are not opened",
            hint="convert them to .safetensors",
        )
    raise _incomplete(name, f"{missing}/{stems[missing]}.safetensors")


def check_part(name: str, path: Path) -> tuple[str | None, tuple[Path, ...]]:
    """The variant and the weight files of the one network (of diffusers) in the folder `path`.

    Raises ModelError when it is not whole.
    """
    for variant in (None, "fp16"):
        if files := _weight_files(path, STEMS["diffusers"], variant):
            for file in files:
                read_header(file)
            return variant, files
    if any(path.glob("*.bin")):
        raise ModelError(
            f"{name}: its weights are pickle files, which can hold code and are not opened",
            hint="convert them to .safetensors",
        )
    raise _incomplete(name, f"{STEMS['diffusers']}.safetensors")


def read_json(name: str, path: Path) -> Mapping[str, Any]:
    """The object in the file `path` of the model `name`.

    Raises ModelError when there is none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if path.name == INDEX:
            raise ModelError(
                f"{name}: this folder is no model: it has no {INDEX}",
                hint="name a folder in diffusers layout or a .safetensors file",
            ) from error
        raise _incomplete(name, f"{path.parent.name}/{path.name}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{name}: {path} is damaged: {str(error).splitlines()[0]}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{name}: {path} is damaged: it holds no object")
    return value


def _family(kinds: Mapping[str, str]) -> Family:
    known = {part for parts in PARTS.values() for part in parts} | _FOREIGN
    for family, parts in PARTS.items():
        if all(kinds.get(part) == kind for part, kind in parts.items()) and not known & kinds.keys() - parts.keys():
            return family
    return "auto"


def _library(index: Mapping[str, Any], part: str) -> str:
    return "transformers" if index[part][0] == "transformers" else "diffusers"


def _weight_files(folder: Path, stem: str, variant: str | None) -> tuple[Path, ...]:
    """The one file, or the shards that an index names; nothing when any is missing."""
    dot = f".{variant}" if variant else ""
    whole = folder / f"{stem}{dot}.safetensors"
    if whole.is_file():
        return (whole,)
    index = folder / f"{stem}.safetensors.index{dot}.json"
    if not index.is_file():
        return ()
    names = set(read_json(folder.parent.name, index).get("weight_map", {}).values())
    shards = tuple(folder / name for name in sorted(map(str, names)))
    return shards if all(shard.is_file() for shard in shards) else ()


def _incomplete(name: str, part: str) -> ModelError:
    return ModelError(
        f"{name}: this model is incomplete: {part} is missing",
        hint="fetch it again; a download may have been cut off",
    )

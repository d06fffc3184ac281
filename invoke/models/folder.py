"""A model folder in diffusers layout, checked before anything is loaded from it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.models.families import LIBRARIES, PARTS, PRIOR, TOKENIZERS, family_of
from invoke.models.safetensors_header import read_header
from invoke.models.spec import INDEX, Family

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
    variants: Mapping[str, str | None]
    """Part → `fp16`, `bf16`, `non_ema`, … where its weights are there in no other form."""
    files: tuple[Path, ...]
    """All weight files of these parts."""
    index: Mapping[str, Any]
    """What `model_index.json` says."""


def check_folder(name: str, path: Path, without: str = "") -> ModelFolder:
    """What of the model called `name` lies in the folder `path`. Of the part `without`, the weights may be missing.

    Raises ModelError when it is no model, or not whole.
    """
    index = read_json(name, path / INDEX)
    every = {
        part: str(entry[1]).removesuffix("Fast")
        for part, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None
    }
    family = family_of(every)
    if family == "auto":
        kinds = {part: kind for part, kind in every.items() if (path / part / "config.json").is_file()}
    else:
        kinds = {part: every[part] for part in PARTS[family]}
    if family == "kandinsky":
        prior = {f"prior_{part}": kind for part, kind in PRIOR.items()}
        kinds = {**kinds, **{part: kind for part, kind in prior.items() if every.get(part) == kind}}
    for part, kind in kinds.items():
        if kind in TOKENIZERS:
            if not (path / part / "tokenizer_config.json").is_file():
                raise _incomplete(name, f"{part}/tokenizer_config.json is")
        else:
            read_json(name, path / part / "config.json")
    read_json(name, path / "scheduler" / "scheduler_config.json")
    variants: dict[str, str | None] = {}
    files: list[Path] = []
    for part, kind in kinds.items():
        if kind not in TOKENIZERS and part != without:
            variants[part], found = _weights(name, path / part, STEMS[_library(index, part)], f"{part}/")
            files += found
    return ModelFolder(path, family, kinds, variants, tuple(files), index)


def check_part(name: str, path: Path) -> tuple[str | None, tuple[Path, ...]]:
    """The variant and the weight files of the one network (of diffusers) in the folder `path`.

    Raises ModelError when it is not whole.
    """
    return _weights(name, path, STEMS["diffusers"])


def check_weights(name: str, path: Path, stem: str) -> tuple[Path, ...]:
    """The weight files called `stem` in the folder `path`. Raises ModelError when they are not whole."""
    return _weights(name, path, stem)[1]


def read_json(name: str, path: Path) -> Mapping[str, Any]:
    """The object in the file `path` of the model `name`.

    Raises ModelError when there is none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if path.name == INDEX:
            raise ModelError(
                f"{name}: this folder is not a model: it has no {INDEX}",
                hint="name a folder in diffusers layout or a .safetensors file",
            ) from error
        raise _incomplete(name, f"{path.parent.name}/{path.name} is") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{name}: {path} is damaged: {str(error).splitlines()[0]}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{name}: {path} is damaged: it holds no object")
    return value


def _library(index: Mapping[str, Any], part: str) -> str:
    return "transformers" if index[part][0] == "transformers" else "diffusers"


def _weights(name: str, folder: Path, stem: str, part: str = "") -> tuple[str | None, tuple[Path, ...]]:
    """Variant and files of one network, each seen to be whole. Raises ModelError where it is in none.

    A network in several forms is read in its plain one; else in half precision, as diffusers and others call it.
    """
    absent: list[str] = []
    for variant in _variants(folder, stem):
        files = _weight_files(name, folder, stem, variant)
        lost = [file.name for file in files if not file.is_file()]
        if files and not lost:
            for file in files:
                read_header(file)
            return variant, files
        absent += lost
    if absent:
        more = f" and {len(absent) - 1} more of its parts are" if len(absent) > 1 else " is"
        raise _incomplete(name, f"{part}{absent[0]}{more}")
    if any(folder.glob("*.bin")):
        owner = f"the weights of its {part[:-1]}" if part else "its weights"
        raise ModelError(
            f"{name}: {owner} are pickle files, which can hold code and are not opened",
            hint=f"!optimize_model {name} reads them without running any, and writes .safetensors files",
        )
    raise _incomplete(name, f"{part}{stem}.safetensors is")


def _variants(folder: Path, stem: str) -> list[str | None]:
    named = re.compile(
        rf"{re.escape(stem)}(?:\.safetensors\.index)?\.([A-Za-z][\w-]*?)(?:-\d+-of-\d+)?\.(?:safetensors|json)"
    )
    found = {match[1] for file in sorted(folder.glob(f"{stem}.*")) if (match := named.fullmatch(file.name))}
    found -= {"safetensors"}
    usual = ["fp16", "bf16"]
    return [None, *(v for v in usual if v in found), *sorted(found - set(usual))]


def _weight_files(name: str, folder: Path, stem: str, variant: str | None) -> tuple[Path, ...]:
    """The one file, or the shards that an index names, there or not. Raises ModelError where the index is damaged."""
    dot = f".{variant}" if variant else ""
    whole = folder / f"{stem}{dot}.safetensors"
    if whole.is_file():
        return (whole,)
    index = folder / f"{stem}.safetensors.index{dot}.json"
    if not index.is_file():
        return ()
    names = read_json(name, index).get("weight_map")
    shards = sorted({str(file) for file in names.values()} if isinstance(names, dict) else ())
    if not shards or any(Path(shard).name != shard for shard in shards):
        raise ModelError(f"{name}: {index} is damaged: it does not name files beside it")
    return tuple(folder / shard for shard in shards)


def _incomplete(name: str, what: str) -> ModelError:
    return ModelError(
        f"{name}: this model is incomplete: {what} missing",
        hint="download it again; a download may have been cut off",
    )

"""Checks a model folder in diffusers layout before anything is loaded from it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoke import files
from invoke.errors import ModelError
from invoke.models.families import FAMILIES, LIBRARIES, PRIOR, TOKENIZERS, Family, family_of_folder
from invoke.models.part_configs import check_parts
from invoke.models.safetensors_header import Header, read_header
from invoke.models.spec import INDEX, LARGEST_JSON
from invoke.models.tensor_names import INTEGERS, has_integers
from invoke.models.upscalers import UPSCALERS

STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
"""Library → name of its weight files."""
CONFIGS = ("model_index.json", "*/*.json", "tokenizer*/*")
WEIGHTS = {
    part: STEMS[LIBRARIES[kind]] for row in FAMILIES.values() for part, kind in row.parts.items() if kind in LIBRARIES
}
"""Parts with weights → name of their files."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A checked folder with a complete model."""

    path: Path
    family: Family
    kinds: Mapping[str, str]
    """Part → class, for the parts that the family needs; for other families, all parts."""
    variants: Mapping[str, str | None]
    """Part → variant (`fp16`, `bf16`, `non_ema`, …); None for plain weights."""
    files: tuple[Path, ...]
    """All weight files of these parts."""
    index: Mapping[str, Any]
    """Content of `model_index.json`."""

    @property
    def pipeline(self) -> str:
        """Name of its pipeline's class."""
        return pipeline_class(self.index)


def pipeline_class(index: Mapping[str, Any]) -> str:
    """The class of the pipeline with this `model_index.json`, which lists the module and class of a custom one."""
    named = index.get("_class_name", "unknown")
    return str(named[-1] if isinstance(named, list) and named else named)


def check_folder(name: str, path: Path, without: str = "") -> ModelFolder:
    """Check the folder `path` of the model called `name`. Of the part `without`, the weights may be missing.

    Raises ModelError if it is not a model or incomplete.
    """
    index = read_json(name, path / INDEX)
    every = {
        part: str(entry[1]).removesuffix("Fast")
        for part, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None
    }
    family = family_of_folder(every)
    if family == "auto":
        kinds = {part: kind for part, kind in every.items() if (path / part / "config.json").is_file()}
    else:
        kinds = {part: every[part] for part in FAMILIES[family].parts}
    if family == "kandinsky":
        prior = {f"prior_{part}": kind for part, kind in PRIOR.items()}
        kinds = {**kinds, **{part: kind for part, kind in prior.items() if every.get(part) == kind}}
    configs = {}
    for part, kind in kinds.items():
        if kind in TOKENIZERS:
            if not (path / part / "tokenizer_config.json").is_file():
                raise _incomplete(name, f"{part}/tokenizer_config.json is")
        else:
            configs[part] = read_json(name, path / part / "config.json")
    if FAMILIES[family].comes_in_one_file and pipeline_class(index) not in UPSCALERS:
        check_parts(name, family, configs)
    read_json(name, path / "scheduler" / "scheduler_config.json")
    variants: dict[str, str | None] = {}
    files: list[Path] = []
    for part, kind in kinds.items():
        if kind not in TOKENIZERS and part != without:
            stem = _stem(path / part, index[part][0])
            variants[part], found = _weights(
                name, path / part, stem, f"{part}/", is_quantised="quantization_config" in configs[part]
            )
            files += found
    return ModelFolder(path, family, kinds, variants, tuple(files), index)


def check_part(name: str, path: Path) -> tuple[str | None, tuple[Path, ...]]:
    """The variant and the weight files of the single diffusers network in the folder `path`.

    Raises ModelError if it is incomplete.
    """
    return _weights(name, path, STEMS["diffusers"])


def check_weights(name: str, path: Path, stem: str) -> tuple[Path, ...]:
    """The weight files called `stem` in the folder `path`. Raises ModelError if they are incomplete."""
    return _weights(name, path, stem)[1]


def read_json(name: str, path: Path) -> Mapping[str, Any]:
    """Read the JSON object in the file `path` of the model `name`.

    Raises ModelError if there is none.
    """
    try:
        value = json.loads(files.read_text(path, LARGEST_JSON))
    except FileNotFoundError as error:
        if path.name == INDEX:
            raise ModelError(
                f"{name}: this folder is not a model: it has no {INDEX}",
                hint="use a folder in diffusers layout or a .safetensors file",
            ) from error
        raise _incomplete(name, f"{path.parent.name}/{path.name} is") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{name}: {path} is damaged: {str(error).splitlines()[0]}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{name}: {path} is damaged: it is not a JSON object")
    return value


def _stem(folder: Path, library: str) -> str:
    """The name of the weight files in `folder`, of a class of `library`, which may be a module of diffusers."""
    stem = STEMS.get(library, STEMS["diffusers"])
    is_other = library not in STEMS and any(folder.glob(f"{STEMS['transformers']}*.safetensors*"))
    return STEMS["transformers"] if is_other else stem


def _weights(
    name: str, folder: Path, stem: str, part: str = "", *, is_quantised: bool = False
) -> tuple[str | None, tuple[Path, ...]]:
    """The variant and checked files of one network. Raises ModelError if no variant is complete.

    Plain weights are preferred; then half precision, under the usual names.
    """
    absent: list[str] = []
    for variant in _variants(folder, stem):
        files = _weight_files(name, folder, stem, variant)
        lost = [file.name for file in files if not file.is_file()]
        if files and not lost:
            for file in files:
                _check_numbers(name, file, read_header(file), is_quantised=is_quantised)
            return variant, files
        absent += lost
    if absent:
        more = f" and {len(absent) - 1} more of its parts are" if len(absent) > 1 else " is"
        raise _incomplete(name, f"{part}{absent[0]}{more}")
    if any(folder.glob("*.bin")):
        owner = f"the weights of its {part[:-1]}" if part else "its weights"
        raise ModelError(
            f"{name}: {owner} are pickle files, which can contain code and are not opened",
            hint=f"!optimize_model {name} converts them to .safetensors without running any code",
        )
    raise _incomplete(name, f"{part}{stem}.safetensors is")


def _check_numbers(name: str, file: Path, header: Header, *, is_quantised: bool) -> None:
    """Raise ModelError if `file` holds integers as weights, whose scales are unknown unless a config gives them."""
    if has_integers(header) and not is_quantised:
        raise ModelError(
            f"{name}: {file.parent.name}/{file.name} holds {INTEGERS[0]}, which is not supported",
            code="not_read",
            hint=INTEGERS[1],
        )


def _variants(folder: Path, stem: str) -> list[str | None]:
    named = re.compile(
        rf"{re.escape(stem)}(?:\.safetensors\.index)?\.([A-Za-z][\w-]*?)(?:-\d+-of-\d+)?\.(?:safetensors|json)"
    )
    found = {match[1] for file in sorted(folder.glob(f"{stem}.*")) if (match := named.fullmatch(file.name))}
    found -= {"safetensors"}
    usual = ["fp16", "bf16"]
    return [None, *(v for v in usual if v in found), *sorted(found - set(usual))]


def _weight_files(name: str, folder: Path, stem: str, variant: str | None) -> tuple[Path, ...]:
    """The single file, or the shards in an index, which may not exist. Raises ModelError if the index is damaged."""
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
        raise ModelError(f"{name}: {index} is damaged: it does not list files beside it")
    return tuple(folder / shard for shard in shards)


def _incomplete(name: str, what: str) -> ModelError:
    return ModelError(
        f"{name}: this model is incomplete: {what} missing",
        hint="download it again; the download may have been interrupted",
    )

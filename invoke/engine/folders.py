"""A model folder in diffusers layout, checked before anything is loaded from it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoke.engine.weights import read_header
from invoke.errors import ModelError

INDEX = "model_index.json"
WEIGHTS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
"""The parts that have weights, and how their files are called."""
PARTS = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
}
"""What makes up Stable Diffusion 1 and 2."""
CONFIGS = ("model_index.json", "*/*.json", "tokenizer/*")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that holds a whole Stable Diffusion 1 or 2 model."""

    path: Path
    variant: str | None
    """`fp16` when only files named so are there."""
    files: tuple[Path, ...]
    """All weight files."""


def check_folder(name: str, path: Path) -> ModelFolder:
    """What of the model called `name` lies in the folder `path`.

    Raises ModelError when it is no model, of another family, or not whole.
    """
    check_family(name, read_json(name, path / INDEX))
    for part in WEIGHTS:
        read_json(name, path / part / "config.json")
    read_json(name, path / "scheduler" / "scheduler_config.json")
    if not any((path / "tokenizer").glob("*.json")):
        raise _incomplete(name, "tokenizer")
    for variant in (None, "fp16"):
        files = {part: _weight_files(path / part, stem, variant) for part, stem in WEIGHTS.items()}
        if all(files.values()):
            every = tuple(file for group in files.values() for file in group)
            for file in every:
                read_header(file)
            return ModelFolder(path, variant, every)
    missing = next(part for part in WEIGHTS if not _weight_files(path / part, WEIGHTS[part], None))
    if any((path / missing).glob("*.bin")):
        raise ModelError(
            f"{name}: the weights of its {missing} are pickle files, which can hold code and are not opened",
            hint="convert them to .safetensors",
        )
    raise _incomplete(name, f"{missing}/{WEIGHTS[missing]}.safetensors")


def check_family(name: str, index: Mapping[str, Any]) -> None:
    """Whether a `model_index.json` describes Stable Diffusion 1 or 2.

    Raises ModelError.
    """
    kinds = {
        part: entry[1]
        for part, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None
    }
    known = all(str(kinds.get(part, "")).removesuffix("Fast") == kind for part, kind in PARTS.items())
    if not known or "text_encoder_2" in kinds or "prior" in kinds:
        kind = str(index.get("_class_name", "unknown")).removesuffix("Pipeline")
        raise ModelError(
            f"{name}: models of the family {kind} are not known yet",
            code="unknown_family",
            hint="Stable Diffusion 1.x and 2.x are",
        )


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

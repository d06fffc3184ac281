"""Which files of a repository are fetched: its configs, and weights that hold no code."""

from collections.abc import Collection, Mapping
from typing import Any

from invoke.errors import ModelError
from invoke.models.cache import needs_weights

CONFIGS = (".json", ".txt", ".model")
STEMS = ("diffusion_pytorch_model", "model", "pytorch_lora_weights", "learned_embeds")
"""How libraries call their weight files."""


def choose(name: str, files: Collection[str], index: Mapping[str, Any] | None, *, half: bool) -> list[str]:
    """The files that make up the model `name`; `index` is what its `model_index.json` says, if it has one.

    With `half`, weights in half precision are preferred where every network has them: half the download, and what
    a GPU computes with. Raises ModelError when its weights are no safetensors.
    """
    if index is None:
        folders, networks = [""], [""]
    else:
        entries = {part: entry for part, entry in index.items() if isinstance(entry, list) and part != "safety_checker"}
        folders = ["", *(f"{part}/" for part in entries)]
        networks = [f"{part}/" for part, entry in entries.items() if needs_weights(part, entry)]
    for variant in (".fp16", "") if half else ("", ".fp16"):
        weights = {folder: _weights(files, folder, variant) for folder in networks}
        if all(weights.values()):
            return [*choose_configs(files, folders), *(file for every in weights.values() for file in every)]
    missing = next(folder for folder, found in weights.items() if not found)
    where = f"the weights of its {missing[:-1]}" if missing else "its weights"
    raise ModelError(
        f"{name}: {where} are no safetensors files; others can hold code and are not fetched",
        hint="look for a newer version of it, or for somebody's conversion",
    )


def choose_configs(files: Collection[str], folders: Collection[str]) -> list[str]:
    """The configs and vocabularies that lie right in one of `folders` (`""`, `"unet/"`, …)."""
    return [file for file in files if file[: file.rfind("/") + 1] in folders and file.endswith(CONFIGS)]


def _weights(files: Collection[str], folder: str, variant: str) -> list[str]:
    """`model.safetensors`, `model.fp16.safetensors`, or the shards `model.fp16-00001-of-00002.safetensors`."""
    for stem in STEMS:
        whole = f"{folder}{stem}{variant}"
        if f"{whole}.safetensors" in files:
            return [f"{whole}.safetensors"]
        shards = [file for file in files if file.startswith(f"{whole}-0") and file.endswith(".safetensors")]
        if shards:
            return shards
    return []

"""The networks of a model, read from a checked folder or from one file in the original layout."""

import importlib
from pathlib import Path
from typing import Any

import torch

from invoke.engine.components.devices import Placement
from invoke.engine.components.packing import pack
from invoke.models.families import LIBRARIES, PARTS, TOKENIZERS
from invoke.models.folder import ModelFolder, read_json
from invoke.models.safetensors_header import read_header
from invoke.models.spec import Family


def parts_of_folder(folder: ModelFolder, place: Placement) -> dict[str, Any]:
    """Part → network or tokenizer. Raises what the libraries raise."""
    return {
        part: tokenizer(folder.path, part) if kind in TOKENIZERS else read_network(folder, part, kind, place)
        for part, kind in folder.kinds.items()
    }


def read_network(folder: ModelFolder, part: str, kind: str, place: Placement) -> Any:
    """One network of `folder`, on `place`."""
    network = _class(kind).from_pretrained(
        str(folder.path),
        subfolder=part,
        variant=folder.variant,
        dtype=place.dtype,
        use_safetensors=True,
        local_files_only=True,
    )
    return settled(network, place)


def parts_of_file(path: Path, family: Family, configs: Path, place: Placement) -> dict[str, Any]:
    """The same of one `.safetensors` file; tokenizers and configs come from the folder `configs`."""
    from diffusers.loaders import single_file_utils
    from safetensors.torch import load_file

    load_text: Any = single_file_utils.create_diffusers_clip_model_from_ldm
    state = load_file(path)
    options = {"config": str(configs), "torch_dtype": place.dtype, "local_files_only": True}
    parts: dict[str, Any] = {}
    for part, kind in PARTS[family].items():
        if kind in TOKENIZERS:
            parts[part] = tokenizer(configs, part)
            continue
        if LIBRARIES[kind] == "transformers":
            network = load_text(_class(kind), dict(state), subfolder=part, **options)
        else:
            network = _class(kind).from_single_file(dict(state), subfolder=part, **options)
        parts[part] = settled(network, place)
    return parts


def tokenizer(folder: Path, part: str) -> Any:
    """CLIP's, from its files."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(folder), subfolder=part, local_files_only=True)


def settled(network: Any, place: Placement) -> Any:
    """`network` where it works from now on, never trained."""
    network = network.eval().requires_grad_(False)
    if place.compiled and type(network).__name__ == "UNet2DConditionModel":
        network.compile()
    if place.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if place.offload == "none":
        network = network.to(place.device)
        if not place.compiled:
            pack(network)
        return network
    from invoke.engine.components.offload import offloaded

    return offloaded(network, place.device, place.offload)


def read_vae(name: str, path: Path, configs: Path, place: Placement) -> Any:
    """The VAE in the folder or single file `path`, for a model whose configs lie in `configs`. Raises ModelError."""
    kind = _class("AutoencoderKL")
    options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True, "torch_dtype": place.dtype}
    if path.is_dir():
        within = "vae" if (path / "vae" / "config.json").is_file() else None
        read_json(name, (path / within if within else path) / "config.json")
        return settled(kind.from_pretrained(str(path), subfolder=within, **options), place)
    read_header(path)
    vae = kind.from_single_file(
        str(path), config=str(configs), subfolder="vae", torch_dtype=place.dtype, local_files_only=True
    )
    return settled(vae, place)


def _class(kind: str) -> Any:
    return getattr(importlib.import_module(LIBRARIES[kind]), kind)

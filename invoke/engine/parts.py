"""The networks of a model, read from a checked folder or from one file in the original layout."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from invoke.engine.devices import Place
from invoke.engine.folders import LIBRARIES, PARTS, TOKENIZERS, ModelFolder, read_json
from invoke.engine.weights import Header, read_header
from invoke.errors import ModelError
from invoke.models.spec import Family

DEFAULT_CONFIGS: Mapping["Kind", str] = {
    ("sd", 4, 768): "stable-diffusion-v1-5/stable-diffusion-v1-5",
    ("sd", 9, 768): "stable-diffusion-v1-5/stable-diffusion-inpainting",
    ("sd", 4, 1024): "stabilityai/stable-diffusion-2-1",
    ("sd", 9, 1024): "stabilityai/stable-diffusion-2-inpainting",
    ("sdxl", 4, 2048): "stabilityai/stable-diffusion-xl-base-1.0",
    ("sdxl", 9, 2048): "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
    ("sdxl-refiner", 4, 1280): "stabilityai/stable-diffusion-xl-refiner-1.0",
}
"""(family, UNet channels, width of the text) → where a single file's tokenizer and configs are taken from."""

Kind = tuple[Family, int, int]


def parts_of_folder(folder: ModelFolder, place: Place) -> dict[str, Any]:
    """Part → network or tokenizer. Raises what the libraries raise."""
    return {
        part: tokenizer(folder.path, part) if kind in TOKENIZERS else read_network(folder, part, kind, place)
        for part, kind in folder.kinds.items()
    }


def read_network(folder: ModelFolder, part: str, kind: str, place: Place) -> Any:
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


def parts_of_file(path: Path, family: Family, configs: Path, place: Place) -> dict[str, Any]:
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


def settled(network: Any, place: Place) -> Any:
    """`network` where it works from now on, never trained."""
    network = network.eval().requires_grad_(False)
    if place.compiled and type(network).__name__ == "UNet2DConditionModel":
        network.compile()
    if place.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if place.offload == "none":
        return network.to(place.device)
    from invoke.engine.offloading import offloaded

    return offloaded(network, place.device, place.offload)


def read_vae(name: str, path: Path, configs: Path, place: Place) -> Any:
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


def kind_of_file(name: str, path: Path) -> Kind:
    """What the single file `path` holds, by its tensors: a key of `DEFAULT_CONFIGS`.

    Raises ModelError for everything else.
    """
    header = read_header(path)
    first, text = header.get(f"{_UNET}input_blocks.0.0.weight"), _text_width(header)
    if first is None:
        lora = any("lora" in key for key in header)
        raise ModelError(
            f"{name}: this file holds "
            + ("a LoRA, which is added to a model" if lora else "no Stable Diffusion model in the original layout"),
            hint="name a whole checkpoint, or a folder in diffusers layout",
        )
    family: Family = "sd"
    if any(key.startswith("conditioner.embedders.1.") for key in header):
        family = "sdxl"
    elif any(key.startswith("conditioner.embedders.0.") for key in header):
        family = "sdxl-refiner"
    return family, int(first["shape"][1]), text


def configs_of(name: str, kind: Kind) -> str:
    """The hub id of the configs of `kind`. Raises ModelError."""
    family, channels, text = kind
    near = {width: repository for (*known, width), repository in DEFAULT_CONFIGS.items() if known == [family, channels]}
    if not near:
        raise ModelError(f"{name}: a UNet of {channels} channels belongs to a family that is not known yet")
    return near.get(text, next(iter(near.values())))


def _text_width(header: Header) -> int:
    keys = (key for key in header if key.startswith(_UNET) and key.endswith("attn2.to_k.weight"))
    key = next(keys, None)
    return 0 if key is None else int(header[key]["shape"][-1])


def _class(kind: str) -> Any:
    return getattr(importlib.import_module(LIBRARIES[kind]), kind)

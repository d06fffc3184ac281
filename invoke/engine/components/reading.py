"""Reads the networks of a model from a checked folder, and a VAE from a folder or file."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from invoke.engine.components.devices import Placement, is_out_of_memory
from invoke.engine.components.packing import pack
from invoke.engine.components.single_file import built, empty_vae, vae_weights
from invoke.engine.components.tiny_vae import read_tiny
from invoke.errors import InvokeError, ModelError, cannot_be_loaded
from invoke.models.families import LIBRARIES, TOKENIZERS
from invoke.models.folder import ModelFolder, check_part, read_json
from invoke.models.loadable import TITLES
from invoke.models.part_configs import check_scale, check_vae
from invoke.models.recognise import check_contents
from invoke.models.safetensors_header import read_header


@contextmanager
def one_sentence(name: str) -> Iterator[None]:
    """Turn whatever libraries raise about the files of the model `name` into a one-line ModelError.

    They raise anything where a config is not what they expect. Out-of-memory errors pass through: the model pool can
    unload other models and retry.
    """
    try:
        yield
    except InvokeError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise cannot_be_loaded(name, error) from error


def parts_of_folder(folder: ModelFolder, place: Placement) -> dict[str, Any]:
    """Read all parts: part → network or tokenizer. Raises whatever the libraries raise."""
    return {
        part: tokenizer(folder.path, part) if kind in TOKENIZERS else read_network(folder, part, kind, place)
        for part, kind in folder.kinds.items()
    }


def read_network(folder: ModelFolder, part: str, kind: str, place: Placement) -> Any:
    """Read one network of `folder` and move it to `place`."""
    variant = folder.variants[part]
    return settled(from_folder(_class(kind), folder.path / part, part, place.dtype, variant), place)


def from_folder(kind: Any, folder: Path, part: str, dtype: torch.dtype, variant: str | None) -> Any:
    """Read the network of the class `kind` in `folder`, which is the `part` of a model.

    Raises ValueError if the network and its files do not have the same tensors, which libraries only log: they fill a
    missing one with random numbers. Other parts than the UNet may have more than is used.
    """
    network, found = kind.from_pretrained(
        str(folder),
        variant=variant,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    title = TITLES.get(part, part)
    if missing := sorted(found["missing_keys"]):
        raise ValueError(f"its {title} lacks {len(missing)} tensors that its config asks for, such as {missing[0]}")
    if part == "unet" and (unexpected := sorted(found["unexpected_keys"])):
        raise ValueError(f"its UNet is not built like its config says: {unexpected[0]} has no place there")
    return network


def tokenizer(folder: Path, part: str) -> Any:
    """Read a CLIP tokenizer from its files."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(folder), subfolder=part, local_files_only=True)


def settled(network: Any, place: Placement) -> Any:
    """Move `network` to its place and prepare it for inference: eval mode, no gradients, packed or compiled."""
    network = network.eval().requires_grad_(False)
    is_compiled = type(network).__name__ in place.compiler.kinds
    if place.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if place.offload == "none":
        network = network.to(place.device)
        if is_compiled:
            place.compiler.compile(network, place.device)
        if place.compiler.reads_packed or not is_compiled:
            pack(network)
        return network
    if is_compiled:
        place.compiler.compile(network, place.device)
    from invoke.engine.components.offload import offloaded

    return offloaded(network, place.device, place.offload)


def read_vae(name: str, path: Path, config: Mapping[str, Any], place: Placement, *, decodes_only: bool = False) -> Any:
    """Read the VAE in the folder or file `path`; `config` is used if it has none of its own. Raises ModelError.

    `decodes_only`: the encoder of a tiny VAE may be missing.
    """
    if path.is_dir():
        folder = path / "vae" if (path / "vae" / "config.json").is_file() else path
        own = read_json(name, folder / "config.json")
        kind = str(own.get("_class_name", "AutoencoderKL"))
        if kind not in {"AutoencoderKL", "AutoencoderTiny"}:
            raise ModelError(
                f"{name}: this folder holds the class {kind}, not a VAE that Stable Diffusion can use",
                hint="use a folder with an AutoencoderKL or an AutoencoderTiny",
            )
        check_vae(name, own)
        if kind == config.get("_class_name", "AutoencoderKL") == "AutoencoderKL":
            check_scale(name, own, config)
        variant, _ = check_part(name, folder)
        return settled(from_folder(_class(kind), folder, "vae", place.dtype, variant), place)
    header = read_header(path)
    check_contents(name, header)
    if (tiny := read_tiny(name, path, decodes_only=decodes_only)) is not None:
        return settled(tiny.to(place.dtype), place)
    state = load_file(path)
    if any(key.startswith("first_stage_model.") for key in header):
        state = {key: tensor for key, tensor in state.items() if key.startswith("first_stage_model.")}
    weights = vae_weights(state, config)
    return settled(built(name, "vae", empty_vae(config), weights, "the model's own").to(place.dtype), place)


def _class(kind: str) -> Any:
    return getattr(importlib.import_module(LIBRARIES[kind]), kind)

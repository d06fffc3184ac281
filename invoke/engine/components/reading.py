"""Reads the networks of a model from a checked folder, and a VAE from a folder or file."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from invoke.engine.components.devices import Placement, is_out_of_memory
from invoke.engine.components.packing import pack
from invoke.engine.components.single_file import built, empty_vae, vae_weights
from invoke.engine.components.tiny_vae import read_tiny
from invoke.errors import ModelError, cannot_be_loaded
from invoke.models.families import LIBRARIES, TOKENIZERS
from invoke.models.folder import ModelFolder, check_part, read_json
from invoke.models.safetensors_header import read_header


@contextmanager
def one_sentence(name: str, *more: type[Exception]) -> Iterator[None]:
    """Turn the errors that libraries raise about the files of the model `name`, and `more`, into a one-line ModelError.

    Out-of-memory errors pass through: the model pool can unload other models and retry.
    """
    kinds: tuple[type[Exception], ...] = (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        SafetensorError,
        *more,
    )
    try:
        yield
    except kinds as error:
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
    network = _class(kind).from_pretrained(
        str(folder.path),
        subfolder=part,
        variant=folder.variants[part],
        dtype=place.dtype,
        use_safetensors=True,
        local_files_only=True,
    )
    return settled(network, place)


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
        kind = str(read_json(name, folder / "config.json").get("_class_name", "AutoencoderKL"))
        if kind not in {"AutoencoderKL", "AutoencoderTiny"}:
            raise ModelError(f"{name}: this folder holds a {kind}, not a VAE that Stable Diffusion can use")
        variant, _ = check_part(name, folder)
        options = {"use_safetensors": True, "local_files_only": True, "variant": variant, "torch_dtype": place.dtype}
        return settled(_class(kind).from_pretrained(str(folder), **options), place)
    header = read_header(path)
    if (tiny := read_tiny(name, path, decodes_only=decodes_only)) is not None:
        return settled(tiny.to(place.dtype), place)
    state = load_file(path)
    if any(key.startswith("first_stage_model.") for key in header):
        state = {key: tensor for key, tensor in state.items() if key.startswith("first_stage_model.")}
    weights = vae_weights(state, config)
    return settled(built(name, "vae", empty_vae(config), weights, "the model's own").to(place.dtype), place)


def _class(kind: str) -> Any:
    return getattr(importlib.import_module(LIBRARIES[kind]), kind)

"""TAESD, the tiny VAE, in files with its author's names: encoder and decoder in one file or in two."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from invoke.engine.components.single_file import built, empty_vae
from invoke.errors import ModelError
from invoke.models.safetensors_header import read_header
from invoke.models.tensor_names import TINY_HALVES

State = Mapping[str, torch.Tensor]
HALVES = ("encoder", "decoder")


def tiny_files(path: Path) -> tuple[Path, ...]:
    """The files of a TAESD: `path`, and the file with the other half if it lies beside it."""
    half = _half(path)
    other = {"encoder": "decoder", "decoder": "encoder"}.get(half or "")
    beside = path.with_name(path.name.replace(half, other)) if half and other else path
    return (path, beside) if beside != path and beside.is_file() else (path,)


def read_tiny(name: str, path: Path, *, decodes_only: bool = False) -> Any | None:
    """Read the AutoencoderTiny in `path`; None if it holds another VAE. `decodes_only`: its encoder may be missing.

    Raises ModelError if a half is missing or the architecture differs.
    """
    state: dict[str, torch.Tensor] = {}
    for file in tiny_files(path):
        read_header(file)
        state |= _named(load_file(file), _half(file))
    if not any(key.startswith(("encoder.layers.", "decoder.layers.")) for key in state):
        return None
    there = [half for half in HALVES if f"{half}.layers.0.weight" in state]
    missing = [half for half in HALVES if half not in there and not (half == "encoder" and decodes_only)]
    if missing:
        other = path.name.replace(there[0], missing[0])
        beside = f"put {other} beside it" if other != path.name else "name a file that holds both"
        raise ModelError(f"{name}: {path} holds only the {there[0]} of TAESD", code="missing_part", hint=beside)
    channels = state["decoder.layers.0.weight"].shape[1]
    network = empty_vae({"_class_name": "AutoencoderTiny", "latent_channels": channels})
    if "encoder" not in there:
        own = network.encoder.state_dict()
        state |= {f"encoder.{key}": torch.zeros(tensor.shape) for key, tensor in own.items()}
    return built(name, "vae", network, state, "TAESD")


def _half(path: Path) -> str | None:
    """`encoder` or `decoder`, if a file holds one of them under bare layer numbers."""
    header = read_header(path)
    return next((half for half, marks in TINY_HALVES.items() if header.keys() >= marks), None)


def _named(state: State, half: str | None) -> dict[str, torch.Tensor]:
    """Rename to diffusers' names. diffusers does not count the decoder's first layer, which clamps the latents."""
    if half is not None:
        state = {f"{half}.{key}": tensor for key, tensor in state.items()}
    found = {}
    for key, tensor in state.items():
        if match := re.match(r"(?:taesd_)?(encoder|decoder)\.(\d+)\.(.+)", key):
            number = int(match[2]) - (match[1] == "decoder")
            found[f"{match[1]}.layers.{number}.{match[3]}"] = tensor
        else:
            found[key] = tensor
    return found

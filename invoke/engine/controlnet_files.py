"""ControlNets on disk: folders in diffusers layout and single files, seen to fit a model before they are loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from invoke.engine.devices import Place, is_out_of_memory
from invoke.engine.folders import check_part, read_json
from invoke.engine.hub import on_disk
from invoke.engine.model import Model
from invoke.engine.parts import settled
from invoke.engine.weights import BackgroundHash
from invoke.errors import ModelError, cannot_be_loaded
from invoke.models import ModelSpec

LDM_KEYS = ("time_embed.0.weight", "control_model.time_embed.0.weight")
"""Of single files in the layout of the original code."""

_MADE_FOR = {
    "block_out_channels": "blocks of {} channels",
    "layers_per_block": "{} layers a block",
    "cross_attention_dim": "texts that are {} numbers wide",
    "projection_class_embeddings_input_dim": "{} numbers about texts and sizes besides",
}
"""What a ControlNet and its UNet must have in common."""


@dataclass(frozen=True, slots=True, eq=False)
class ControlNet:
    """One, loaded."""

    network: Any
    weights_hash: BackgroundHash


def read_controlnet(spec: ModelSpec, place: Place, *, model: Model) -> ControlNet:
    """The ControlNet of `spec`, on `place`, after it was seen to fit `model`.

    Raises ModelError, one sentence with what to do next.
    """
    path = Path(spec.weights)
    try:
        network, files = (_from_file if path.is_file() else _from_folder)(spec, path, place, model)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        raise cannot_be_loaded(spec.name, error) from error
    return ControlNet(settled(network, place), BackgroundHash(path, files))


def check_fits(name: str, config: Mapping[str, Any], model: Model) -> None:
    """Raises ModelError where a ControlNet of this `config` cannot add to the UNet of `model`."""
    unet = model.unet.config
    pairs = [(made_for, config.get(key), unet.get(key)) for key, made_for in _MADE_FOR.items()]
    reduced = len(config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)) - 1
    pairs += [
        ("{} channels of latents", config.get("in_channels", 4), model.latent_channels),
        ("{} pixels a latent", 2**reduced, model.factor),
        ("pictures of {} channels", config.get("conditioning_channels", 3), 3),
    ]
    for made_for, theirs, ours in pairs:
        if _plain(theirs) != _plain(ours):
            raise _does_not_fit(name, model, f"it is made for {made_for.format(_plain(theirs))}, not {_plain(ours)}")


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "/".join(map(str, value))
    return "no" if value is None else str(value)


def _does_not_fit(name: str, model: Model, why: str) -> ModelError:
    return ModelError(
        f"{name} does not fit {model.spec.name}: {why}",
        code="wrong_control",
        hint="a ControlNet guides the models of its own family alone",
    )


def _from_folder(spec: ModelSpec, path: Path, place: Place, model: Model) -> tuple[Any, tuple[Path, ...]]:
    check_fits(spec.name, read_json(spec.name, path / "config.json"), model)
    variant, files = check_part(spec.name, path)
    network = _class().from_pretrained(
        str(path), variant=variant, dtype=place.dtype, use_safetensors=True, local_files_only=True
    )
    return network, files


def _from_file(spec: ModelSpec, path: Path, place: Place, model: Model) -> tuple[Any, tuple[Path, ...]]:
    """A file does not say how it is built: like the UNet of `model`, unless the entry names a folder with a config."""
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    convert: Any = convert_controlnet_checkpoint
    known = signature(_class().__init__).parameters
    config = {name: value for name, value in model.unet.config.items() if name in known}
    if spec.config:
        config = dict(read_json(spec.name, on_disk(spec.name, spec.config) / "config.json"))
    state = load_file(path)
    if any(key in state for key in LDM_KEYS):
        state = {key: tensor for key, tensor in convert(state, config).items() if tensor is not None}
    config |= {"in_channels": model.latent_channels, "conditioning_embedding_out_channels": _widths(state)}
    check_fits(spec.name, config, model)
    with torch.device("meta"):
        network = _class().from_config(config)
    if {key: tensor.shape for key, tensor in network.state_dict().items()} != {
        key: tensor.shape for key, tensor in state.items()
    }:
        raise _does_not_fit(spec.name, model, "it is built otherwise than its UNet")
    network.load_state_dict(state, assign=True)
    return network.to(place.dtype), (path,)


def _widths(state: Mapping[str, torch.Tensor]) -> list[int]:
    """The channels of the layers that look at the picture, which become more wherever it is reduced."""
    embedding = "controlnet_cond_embedding"
    every = [len(state[key]) for key in (f"{embedding}.conv_in.weight",) if key in state]
    blocks = sum(key.startswith(f"{embedding}.blocks.") and key.endswith(".weight") for key in state)
    return every + [len(state[f"{embedding}.blocks.{index}.weight"]) for index in range(1, blocks, 2)]


def _class() -> Any:
    from diffusers import ControlNetModel

    return ControlNetModel

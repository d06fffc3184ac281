"""ControlNets: found on disk, checked against the model, loaded; their images opened or detected."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from invoke.engine.components.devices import Placement, is_out_of_memory
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.reading import settled
from invoke.engine.conditioning.controlnet import Control
from invoke.engine.img2img.prepared import Prepared
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.model_protocol import Model
from invoke.errors import ModelError, RequestError, cannot_be_loaded
from invoke.events import EngineEvent
from invoke.images import open_picture
from invoke.images.detectors import DETECTORS
from invoke.models import Kind, ModelSpec
from invoke.models.folder import check_part, read_json
from invoke.models.hub.locate import on_disk
from invoke.request import AUTO, Request

KIND: Kind = "controlnet"


@dataclass(frozen=True, slots=True, eq=False)
class ControlNet:
    """One, loaded."""

    network: Any
    weights_hash: BackgroundHash


def load_controlnets(request: Request, pool: ModelPool) -> Iterator[EngineEvent]:
    """Have the ControlNets of `request` ready; yield `Loading Loaded` for each that was not.

    Raises ModelError, also where one does not fit the model.
    """
    for name, *_ in request.controls:
        model = pool.model(request.model)
        found = yield from pool.ready(name, KIND, partial(read_controlnet, model=model))
        check_fits(name, found.network.config, model)


def controls_of(request: Request, pool: ModelPool, prepared: Prepared | None) -> tuple[Control, ...]:
    """The controls of `request`, in order; `prepared` is its init picture.

    Raises ModelError, PictureError or RequestError.
    """
    controls = []
    for name, image, scale, *window in request.controls:
        controlnet = _controlnet(name, pool, request)
        picture, digest = (_found(image, prepared), "") if image.startswith(AUTO) else _opened(image)
        controls.append(Control(name, controlnet.network, controlnet.weights_hash, picture, digest, scale, *window))
    return tuple(controls)


def _opened(path: str) -> tuple[Image.Image, str]:
    """The picture and its file's SHA-256. What is transparent is black: nothing to follow, whatever its colour."""
    picture = open_picture(path)
    if picture.alpha is None:
        return picture.image, picture.sha256
    black = Image.new("RGB", picture.image.size)
    return Image.composite(picture.image, black, picture.alpha), picture.sha256


def _found(image: str, prepared: Prepared | None) -> Image.Image:
    detector = DETECTORS.get(image.removeprefix(AUTO))
    if detector is None or prepared is None:
        raise RequestError(
            f"{image}: {'there is no such detector' if detector is None else 'there is no init picture'}"
        )
    picture = (prepared.encode_source * 255).round().to(torch.uint8)
    return Image.fromarray(detector.find(np.asarray(picture))).convert("RGB")


def _controlnet(name: str, pool: ModelPool, request: Request) -> ControlNet:
    model = pool.model(request.model)
    found = pool.get(name, KIND, partial(read_controlnet, model=model))
    check_fits(name, found.network.config, model)
    return found


LDM_KEYS = ("time_embed.0.weight", "control_model.time_embed.0.weight")
"""Of single files in the layout of the original code."""

_MADE_FOR = {
    "block_out_channels": "blocks of {} channels",
    "layers_per_block": "{} layers a block",
    "cross_attention_dim": "texts that are {} numbers wide",
    "projection_class_embeddings_input_dim": "{} numbers about texts and sizes besides",
}
"""What a ControlNet and its UNet must have in common."""


def read_controlnet(spec: ModelSpec, place: Placement, *, model: Model) -> ControlNet:
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
    for made_for, required, present in pairs:
        if _plain(required) != _plain(present):
            raise _does_not_fit(
                name, model, f"it is made for {made_for.format(_plain(required))}, not {_plain(present)}"
            )


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


def _from_folder(spec: ModelSpec, path: Path, place: Placement, model: Model) -> tuple[Any, tuple[Path, ...]]:
    check_fits(spec.name, read_json(spec.name, path / "config.json"), model)
    variant, files = check_part(spec.name, path)
    network = _class().from_pretrained(
        str(path), variant=variant, dtype=place.dtype, use_safetensors=True, local_files_only=True
    )
    return network, files


def _from_file(spec: ModelSpec, path: Path, place: Placement, model: Model) -> tuple[Any, tuple[Path, ...]]:
    """A file does not say how it is built: like the UNet of `model`, unless the entry names a folder with a config."""
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    convert: Any = convert_controlnet_checkpoint
    accepted = signature(_class().__init__).parameters
    config = {name: value for name, value in model.unet.config.items() if name in accepted}
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

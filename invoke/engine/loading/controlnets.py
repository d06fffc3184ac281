"""ControlNets: finds, checks and loads them, and opens or detects their control images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file

from invoke.engine.components.devices import Placement
from invoke.engine.components.finite import check_finite
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.reading import from_folder, one_sentence, settled
from invoke.engine.conditioning.controlnet import Control
from invoke.engine.img2img.prepared import Prepared
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.model_protocol import Model
from invoke.errors import ModelError, RequestError
from invoke.events import EngineEvent
from invoke.images import open_picture
from invoke.images.detectors import DETECTORS
from invoke.models import Kind, ModelSpec
from invoke.models.folder import check_part, read_json
from invoke.models.hub.locate import on_disk
from invoke.models.recognise import UNIONS
from invoke.models.spec import UNION_MODES
from invoke.request import AUTO, Request

KIND: Kind = "controlnet"
DETECTOR: Kind = "detector"


@dataclass(frozen=True, slots=True, eq=False)
class ControlNet:
    """A loaded ControlNet."""

    network: Any
    weights_hash: BackgroundHash


def load_controlnets(request: Request, pool: ModelPool) -> Iterator[EngineEvent]:
    """Load the ControlNets of `request`; yield `Loading Loaded` for each that was not loaded.

    Raises ModelError, also if one does not fit the model.
    """
    for name, image, *_ in request.controls:
        model = pool.model(request.model)
        if image == f"{AUTO}depth":
            yield from pool.ready(_depth_model(pool), DETECTOR, read_depth)
        found = yield from pool.ready(name, KIND, partial(read_controlnet, model=model))
        check_fits(name, found.network.config, model)
        _mode(pool.models.find(name, KIND), found)


def controls_of(request: Request, pool: ModelPool, prepared: Prepared | None) -> tuple[Control, ...]:
    """The controls of `request`, in order; `prepared` is the init image.

    Raises ModelError, PictureError or RequestError.
    """
    controls = []
    for name, image, scale, *window in request.controls:
        controlnet = _controlnet(name, pool, request)
        mode = _mode(pool.models.find(name, KIND), controlnet)
        picture, digest = (_found(image, prepared, pool), "") if image.startswith(AUTO) else _opened(image)
        loaded = controlnet.network, controlnet.weights_hash
        followed = window[0] if window else (0.0, 1.0)
        controls.append(Control(name, *loaded, picture, digest, scale, followed, mode))
    return tuple(controls)


def _opened(path: str) -> tuple[Image.Image, str]:
    """Open a control image; returns it with its file's SHA-256. Transparent parts become black: they guide nothing."""
    picture = open_picture(path)
    if picture.alpha is None:
        return picture.image, picture.sha256
    black = Image.new("RGB", picture.image.size)
    return Image.composite(picture.image, black, picture.alpha), picture.sha256


def _found(image: str, prepared: Prepared | None, pool: ModelPool) -> Image.Image:
    detector = DETECTORS.get(image.removeprefix(AUTO))
    if detector is None or prepared is None:
        raise RequestError(f"{image}: {'unknown detector' if detector is None else 'there is no init picture'}")
    picture = (prepared.encode_source * 255).round().to(torch.uint8).numpy()
    if detector.find is None:
        estimate = pool.get(_depth_model(pool), DETECTOR, read_depth)
        return estimate(Image.fromarray(picture))["depth"].convert("RGB")  # type: ignore[no-any-return]
    return Image.fromarray(detector.find(picture)).convert("RGB")


def _mode(spec: ModelSpec, found: ControlNet) -> int | None:
    """The mode number of a union ControlNet, from `spec.mode`; None if it is not a union. Raises ModelError."""
    kinds = found.network.config.get("num_control_type")
    if kinds is None:
        return None
    if UNION_MODES.get(spec.mode, kinds) >= kinds:
        modes = " ".join(name for name, number in UNION_MODES.items() if number < kinds)
        raise ModelError(
            f"--control: {spec.name} follows several kinds of pictures, and its name does not say which kind to use",
            code="wrong_control",
            hint=f"name it by its mode, such as union-depth-sdxl, or !edit_model NAME mode with one of {modes}",
        )
    return UNION_MODES[spec.mode]


def _depth_model(pool: ModelPool) -> str:
    """The name of the first detector on the list of models. Raises ModelError."""
    found = next((spec.name for spec in pool.models if spec.kind == DETECTOR), None)
    if found is None:
        raise ModelError(f"{AUTO}depth: no detector is on the list of models", hint="!import_model FOLDER my-depth")
    return found


def read_depth(spec: ModelSpec, place: Placement) -> Any:
    """Load transformers' depth-estimation pipeline with the model of `spec`. Raises ModelError."""
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation, pipeline

    options: Any = {"local_files_only": True}
    with one_sentence(spec.name):
        network = AutoModelForDepthEstimation.from_pretrained(spec.weights, use_safetensors=True, **options)
        read: Any = AutoImageProcessor.from_pretrained
        images = read(spec.weights, **options)
    network = network.eval().requires_grad_(False)
    return pipeline("depth-estimation", model=network, image_processor=images, device=place.device)


def _controlnet(name: str, pool: ModelPool, request: Request) -> ControlNet:
    model = pool.model(request.model)
    found = pool.get(name, KIND, partial(read_controlnet, model=model))
    check_fits(name, found.network.config, model)
    return found


LDM_KEYS = ("time_embed.0.weight", "control_model.time_embed.0.weight")
"""Tensor names that mark a single file in the layout of the original code."""

_MADE_FOR = {
    "block_out_channels": "blocks of {} channels",
    "layers_per_block": "{} layers per block",
    "cross_attention_dim": "text embeddings of width {}",
    "projection_class_embeddings_input_dim": "added text and size embeddings of width {}",
}
"""Config entries that a ControlNet and its UNet must have in common."""


def read_controlnet(spec: ModelSpec, place: Placement, *, model: Model) -> ControlNet:
    """Load the ControlNet of `spec` to `place`, after checking that it fits `model`.

    Raises ModelError with a hint.
    """
    path = Path(spec.weights)
    with one_sentence(spec.name):
        network, files = (_from_file if path.is_file() else _from_folder)(spec, path, place, model)
        check_finite(spec.name, "ControlNet", network.named_parameters())
    return ControlNet(settled(network, place), BackgroundHash(path, files))


def check_fits(name: str, config: Mapping[str, Any], model: Model) -> None:
    """Raise ModelError if a ControlNet with this `config` does not fit the UNet of `model`."""
    unet = model.unet.config
    pairs = [(made_for, config.get(key), unet.get(key)) for key, made_for in _MADE_FOR.items()]
    reduced = len(config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)) - 1
    pairs += [
        ("{} latent channels", config.get("in_channels", 4), model.latent_channels),
        ("{} pixels per latent", 2**reduced, model.factor),
        ("pictures with {} channels", config.get("conditioning_channels", 3), 3),
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
        hint="a ControlNet works only with models of its own family",
    )


def _from_folder(spec: ModelSpec, path: Path, place: Placement, model: Model) -> tuple[Any, tuple[Path, ...]]:
    check_fits(spec.name, read_json(spec.name, path / "config.json"), model)
    variant, files = check_part(spec.name, path)
    kind = str(read_json(spec.name, path / "config.json").get("_class_name"))
    made = _class(is_union=kind in UNIONS or bool(spec.mode))
    return from_folder(made, path, "ControlNet", place.dtype, variant), files


def _from_file(spec: ModelSpec, path: Path, place: Placement, model: Model) -> tuple[Any, tuple[Path, ...]]:
    """Read a single file. It has no config: the UNet of `model` gives it, unless the entry names a folder with one."""
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    convert: Any = convert_controlnet_checkpoint
    accepted = signature(_class().__init__).parameters
    config = {name: value for name, value in model.unet.config.items() if name in accepted}
    if spec.config:
        config = dict(read_json(spec.name, on_disk(spec.name, spec.config) / "config.json"))
    state = load_file(path)
    if any(key in state for key in LDM_KEYS):
        state = {key: tensor for key, tensor in convert(state, config).items() if tensor is not None}
    if f"{EMBEDDING}.conv_in.weight" not in state:
        raise ModelError(
            f"{spec.name}: this file does not hold a ControlNet for Stable Diffusion",
            code="wrong_control",
            hint="use a whole ControlNet for Stable Diffusion 1, 2 or XL",
        )
    config |= {"in_channels": model.latent_channels, "conditioning_embedding_out_channels": _widths(state)}
    check_fits(spec.name, config, model)
    with torch.device("meta"):
        network = _class().from_config(config)
    if {key: tensor.shape for key, tensor in network.state_dict().items()} != {
        key: tensor.shape for key, tensor in state.items()
    }:
        raise _does_not_fit(spec.name, model, "its architecture differs from the UNet's")
    network.load_state_dict(state, assign=True)
    return network.to(place.dtype), (path,)


def _widths(state: Mapping[str, torch.Tensor]) -> list[int]:
    """The output channels of the layers that embed the control image: they increase where it is downsampled."""
    blocks = sum(key.startswith(f"{EMBEDDING}.blocks.") and key.endswith(".weight") for key in state)
    layers = ["conv_in", *(f"blocks.{index}" for index in range(1, blocks, 2))]
    return [len(state[f"{EMBEDDING}.{layer}.weight"]) for layer in layers]


EMBEDDING = "controlnet_cond_embedding"
"""The module that embeds the control image."""


def _class(*, is_union: bool = False) -> Any:
    from diffusers import ControlNetModel, ControlNetUnionModel

    return ControlNetUnionModel if is_union else ControlNetModel

"""IP-Adapters and their image encoders: finds, checks and loads them, and opens their pictures."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from invoke.engine.components.devices import Placement
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.reading import one_sentence, settled
from invoke.engine.conditioning.ip_adapter import ImageEncoder, IPAdapter, Reference, reference
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.model_protocol import Model
from invoke.errors import ModelError
from invoke.events import EngineEvent
from invoke.images import open_picture
from invoke.models import Kind, ModelSpec
from invoke.models.architectures import clip_vision
from invoke.models.folder import check_weights, read_json
from invoke.models.ip_adapters import encoder_of
from invoke.models.safetensors_header import read_header
from invoke.models.tensor_names import ip_kind
from invoke.request import Request

KIND: Kind = "ip-adapter"
ENCODER: Kind = "image-encoder"


def load_ip_adapters(request: Request, pool: ModelPool) -> Iterator[EngineEvent]:
    """Load the IP-Adapters of `request` and their encoders; yield `Loading Loaded` for each that was not loaded.

    Raises ModelError, also if one does not fit the model.
    """
    for name, _, _ in request.ip_adapters:
        model = pool.model(request.model)
        found = yield from pool.ready(name, KIND, partial(read_ip_adapter, model=model))
        check_fits(name, found.layers, model)
        encoder = yield from pool.ready(_encoder(name, pool), ENCODER, read_image_encoder)
        _check_encoder(name, found, encoder)


def references_of(request: Request, pool: ModelPool) -> tuple[Reference, ...]:
    """The references of `request`, in order. Raises ModelError or PictureError."""
    model, found = pool.model(request.model), []
    for name, path, scale in request.ip_adapters:
        adapter = pool.get(name, KIND, partial(read_ip_adapter, model=model))
        encoder = pool.get(_encoder(name, pool), ENCODER, read_image_encoder)
        picture = open_picture(path)
        found.append(reference(name, adapter, encoder, picture.on_white, picture.sha256, scale))
    return tuple(found)


def _encoder(name: str, pool: ModelPool) -> str:
    return encoder_of(pool.models.find(name, KIND))


def read_ip_adapter(spec: ModelSpec, place: Placement, *, model: Model) -> IPAdapter:
    """Load the IP-Adapter of `spec` to the place of `model`. Raises ModelError with a hint."""
    path = Path(spec.weights)
    with one_sentence(spec.name):
        tensors = load_file(path)
        adapter, image = (_below(tensors, start, place) for start in ("ip_adapter.", "image_proj."))
        if ip_kind(read_header(path)) is None or not adapter:
            raise ModelError(
                f"--ip_adapter: {spec.name} is not a supported IP-Adapter for Stable Diffusion",
                code="wrong_ip_adapter",
                hint="plain, plus, plus-face and full-face ones in .safetensors files are supported",
            )
        check_fits(spec.name, adapter, model)
        projection = model.unet._convert_ip_adapter_image_proj_to_diffusers(image)
    projection = projection.to(model.place.device, model.place.dtype).eval().requires_grad_(False)
    return IPAdapter(projection, adapter, image, BackgroundHash(path.parent, (path,)))


def _below(tensors: Mapping[str, torch.Tensor], start: str, place: Placement) -> dict[str, torch.Tensor]:
    return {
        key.removeprefix(start): tensor.to(place.device, place.dtype)
        for key, tensor in tensors.items()
        if key.startswith(start)
    }


def check_fits(name: str, layers: Mapping[str, torch.Tensor], model: Model) -> None:
    """Raise ModelError if an IP-Adapter with these `layers` does not fit the UNet of `model`."""
    ours = [attention.to_k.weight.shape for attention in _cross_attentions(model.unet)]
    theirs = [layers[f"{2 * at + 1}.to_k_ip.weight"].shape for at in range(len(layers) // 2)]
    if sorted(map(tuple, ours)) != sorted(map(tuple, theirs)):
        raise ModelError(
            f"--ip_adapter: {name} does not fit {model.spec.name}: it is made for another UNet",
            code="wrong_ip_adapter",
            hint="an IP-Adapter works only with models of its own family",
        )


def _cross_attentions(unet: Any) -> list[Any]:
    return [module for name, module in unet.named_modules() if name.endswith(".attn2")]


def _check_encoder(name: str, adapter: IPAdapter, encoder: ImageEncoder) -> None:
    config = encoder.network.config
    header = {f"image_proj.{key}": {"shape": list(tensor.shape)} for key, tensor in adapter.tensors.items()}
    kind = ip_kind(header)
    gives = config.hidden_size if adapter.sees_patches else config.projection_dim
    if kind is None or kind[1] != gives:
        wanted = kind[1] if kind else 0
        raise ModelError(
            f"--ip_adapter: {name} needs an image encoder with embeddings of width {wanted}, not {gives}",
            code="wrong_ip_adapter",
            hint="choose another: !edit_model NAME image_encoder clip-vit-h, or clip-vit-bigg",
        )


def read_image_encoder(spec: ModelSpec, place: Placement) -> ImageEncoder:
    """Load the image encoder of `spec` to `place`. Raises ModelError with a hint."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    path = Path(spec.weights)
    folder = path if path.is_dir() else path.parent
    with one_sentence(spec.name):
        files = check_weights(spec.name, path, "model") if path.is_dir() else (path,)
        tensors = {key: tensor for file in files for key, tensor in load_file(file).items()}
        if (folder / "config.json").is_file():
            config = CLIPVisionConfig.from_dict(dict(read_json(spec.name, folder / "config.json")))
        else:
            config = CLIPVisionConfig(**clip_vision(spec.name, tensors))
        with torch.device("meta"):
            network = CLIPVisionModelWithProjection(config)
        network = _filled(network, tensors).to(place.dtype)
    return ImageEncoder(settled(network, place), BackgroundHash(folder, files))


def _filled(network: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """Fill `network`, which has no weights yet, with those of `tensors` that it needs."""
    wanted = network.state_dict().keys()
    network.load_state_dict({key: tensor for key, tensor in tensors.items() if key in wanted}, assign=True)
    embeddings = network.vision_model.embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions)[None]  # a constant that files may omit
    return network

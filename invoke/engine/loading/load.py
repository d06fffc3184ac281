"""A ModelSpec becomes a Model: folders, single files and hub ids alike, weights from safetensors only."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from invoke.engine.components.devices import Placement
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.reading import parts_of_file, parts_of_folder, read_vae
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.engine.families.auto import Auto, read_auto
from invoke.engine.families.kandinsky import read_kandinsky
from invoke.engine.families.stable_diffusion import StableDiffusion
from invoke.engine.model_protocol import Model
from invoke.errors import ModelError, cannot_be_loaded
from invoke.models import ModelSpec
from invoke.models.folder import INDEX, ModelFolder, check_folder, read_json
from invoke.models.hub.locate import on_disk
from invoke.models.recognise import configs_of, kind_of_file
from invoke.models.spec import Family
from invoke.paths import expanded


def load(spec: ModelSpec, place: Placement, *, vae: ModelSpec | None = None) -> Model | Auto:
    """The model of `spec`, ready on `place`, with another `vae` instead of its own if one is given.

    Raises ModelError, one sentence with what to do next.
    """
    path = expanded(spec.weights)
    try:
        if path.suffix == ".safetensors":
            model: Model | Auto = _from_file(spec, path, place)
        else:
            model = _from_folder(spec, find_folder(spec), place)
        return model if vae is None else _with_vae(model, vae)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        # the files are whole (that was checked), but do not fit together or are not what they say
        raise cannot_be_loaded(spec.name, error) from error


def _with_vae(model: Model | Auto, spec: ModelSpec) -> Model:
    if not isinstance(model, StableDiffusion):
        raise ModelError(f"{model.spec.name}: only Stable Diffusion can be given another VAE")
    path = expanded(spec.weights)
    vae = _wide_enough(read_vae(spec.name, path, model.configs, model.place), model.spec.family, model.place)
    fitting = replace(model, vae=vae, vae_hash=_hash_of(path))
    if (fitting.factor, fitting.latent_channels) != (model.factor, model.latent_channels):
        raise ModelError(f"{spec.name}: this VAE does not fit {model.spec.name}: its latents have another shape")
    return fitting


def _wide_enough(vae: Any, family: Family, place: Placement) -> Any:
    """`vae` in float32 where its numbers do not fit into half precision, as the config of XL's says."""
    narrow = family != "sd" and place.dtype == torch.float16 and vae.config.force_upcast
    return vae.float() if narrow else vae


def _hash_of(path: Path) -> BackgroundHash:
    files = sorted(path.glob("**/*.safetensors")) if path.is_dir() else [path]
    return BackgroundHash(path if path.is_dir() else path.parent, files)


def find_folder(spec: ModelSpec) -> ModelFolder:
    """The checked folder of `spec`. Raises ModelError."""
    return check_folder(spec.name, on_disk(spec.name, spec.weights))


def _from_folder(spec: ModelSpec, folder: ModelFolder, place: Placement) -> Model | Auto:
    if folder.family == "kandinsky":
        prior = find_folder(replace(spec, weights=spec.prior)) if spec.prior else None
        return read_kandinsky(spec, folder, prior, place)
    if folder.family == "auto":
        return read_auto(spec, folder, place)
    weights = BackgroundHash(folder.path, folder.files)
    parts = parts_of_folder(folder, place)
    return _stable_diffusion(spec, place, folder.family, parts, folder.path, weights, folder.index)


def _from_file(spec: ModelSpec, path: Path, place: Placement) -> Model:
    if not path.is_file():
        raise ModelError(f"{spec.name}: there is no file {path}")
    kind = kind_of_file(spec.name, path)
    configs = on_disk(spec.name, spec.config or configs_of(spec.name, kind))
    parts = parts_of_file(path, kind[0], configs, place)
    index = read_json(spec.name, configs / INDEX) if (configs / INDEX).is_file() else {}
    return _stable_diffusion(spec, place, kind[0], parts, configs, BackgroundHash(path.parent, (path,)), index)


def _stable_diffusion(  # noqa: PLR0913, PLR0917 - what a model consists of
    spec: ModelSpec,
    place: Placement,
    family: Family,
    parts: Mapping[str, Any],
    configs: Path,
    weights: BackgroundHash,
    index: Mapping[str, Any],
) -> StableDiffusion:
    unet, towers = parts["unet"], _towers(family, parts)
    if unet.config.in_channels not in (4, 9):
        raise ModelError(
            f"{spec.name}: a UNet of {unet.config.in_channels} channels belongs to a family that is not known yet"
        )
    scheduler_config = read_json(spec.name, configs / "scheduler" / "scheduler_config.json")
    prediction = scheduler_config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise ModelError(
            f"{spec.name}: it predicts '{prediction}', which no sampler here takes: epsilon or v_prediction"
        )
    if unet.config.cross_attention_dim != sum(tower.text_encoder.config.hidden_size for tower in towers):
        raise ModelError(f"{spec.name}: its UNet and its text encoder do not belong together")
    return StableDiffusion(
        spec=replace(spec, family=family),
        place=place,
        unet=unet,
        vae=_wide_enough(parts["vae"], family, place),
        towers=towers,
        scheduler_config=scheduler_config,
        configs=configs,
        weights_hash=weights,
        zero_negative=family != "sd" and bool(index.get("force_zeros_for_empty_prompt", family == "sdxl")),
    )


def _towers(family: Family, parts: Mapping[str, Any]) -> tuple[TextEncoder, ...]:
    if family == "sd":
        return (TextEncoder(parts["tokenizer"], parts["text_encoder"]),)
    second = TextEncoder(parts["tokenizer_2"], parts["text_encoder_2"], "penultimate")
    if family == "sdxl-refiner":
        return (second,)
    return (TextEncoder(parts["tokenizer"], parts["text_encoder"], "penultimate"), second)

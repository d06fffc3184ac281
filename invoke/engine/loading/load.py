"""Loads the model of a ModelSpec from a folder, a single file or a hub id; weights from safetensors only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from invoke.engine.components.devices import Placement
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.quantization import check_can_quantize
from invoke.engine.components.reading import one_sentence, parts_of_folder, read_network, read_vae, settled
from invoke.engine.components.single_file import (
    configs_of_folder,
    read_parts,
    read_tokenizers,
    shipped_configs,
)
from invoke.engine.components.tiny_vae import tiny_files
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.engine.families.auto import Auto, read_auto
from invoke.engine.families.kandinsky import read_kandinsky
from invoke.engine.families.stable_diffusion import StableDiffusion
from invoke.engine.model_protocol import Model
from invoke.errors import ModelError
from invoke.models import ModelSpec
from invoke.models.editors import EDITED_CHANNELS, PIX2PIX, PIX2PIX_XL
from invoke.models.families import FAMILIES, Family
from invoke.models.folder import ModelFolder, check_folder, read_json
from invoke.models.gguf import check_gguf
from invoke.models.hub.cache import located
from invoke.models.hub.locate import on_disk
from invoke.models.loadable import SCHEDULER, TITLES, check_file
from invoke.models.parametrisation import Parametrisation
from invoke.models.part_configs import check_parts
from invoke.models.safetensors_header import read_header
from invoke.models.scheduler_config import rescale_of, scheduler_config
from invoke.models.tensor_names import read_checkpoint
from invoke.paths import expanded


@dataclass(frozen=True, slots=True)
class Others:
    """Other models that an entry refers to, on this disk."""

    vae: ModelSpec | None = None
    """Replaces the model's own."""
    base: ModelSpec | None = None
    """A model that provides the parts a single file lacks."""
    preview_vae: ModelSpec | None = None


def check_quantized(spec: ModelSpec, place: Placement) -> None:
    """Raise ModelError if the weights of `spec` cannot be kept as it or the launch asks. Nothing is read."""
    how = spec.quantize or place.quantize
    if how != "none" and spec.family != "auto":
        raise ModelError(
            f"--quantize {how}: weights of the family of {spec.name} cannot be quantised",
            code="not_taken",
            hint="--quantize works with models that run in a diffusers pipeline, such as flux-schnell; "
            "here --precision float16 halves the memory",
        )
    if how != "none":
        check_can_quantize(spec.name, how, place)
    if spec.gguf and (gguf := located(spec.gguf)):
        check_gguf(spec.name, gguf, spec.family)


def load(spec: ModelSpec, place: Placement, others: Others = Others()) -> Model | Auto:
    """Load the model of `spec` to `place`.

    Raises ModelError with a hint.
    """
    path = expanded(spec.weights)
    check_quantized(spec, place)
    with one_sentence(spec.name):  # the files are complete, but may not fit together, or not match their configs
        if path.suffix == ".safetensors":
            return _from_file(spec, path, place, others)
        return _from_folder(spec, find_folder(spec), place, others)


def _wide_enough(vae: Any, family: Family, place: Placement) -> Any:
    """Return `vae`, in float32 if it would overflow in half precision (`force_upcast`, as in XL's config)."""
    narrow = family != "sd" and place.dtype == torch.float16 and vae.config.force_upcast
    return vae.float() if narrow else vae


def _hash_of(path: Path) -> BackgroundHash:
    files = sorted(path.glob("**/*.safetensors")) if path.is_dir() else list(tiny_files(path))
    return BackgroundHash(path if path.is_dir() else path.parent, files)


def find_folder(spec: ModelSpec) -> ModelFolder:
    """Find and check the folder of `spec`. Raises ModelError."""
    return check_folder(spec.name, on_disk(spec.name, spec.weights), spec.without)


def _from_folder(spec: ModelSpec, folder: ModelFolder, place: Placement, others: Others) -> Model | Auto:
    if folder.family in {"kandinsky", "auto"} and others != Others():
        raise ModelError(f"{spec.name}: only Stable Diffusion models can use another VAE")
    if folder.family == "kandinsky":
        prior = find_folder(replace(spec, weights=spec.prior)) if spec.prior else None
        return read_kandinsky(spec, folder, prior, place)
    if folder.family == "auto":
        return read_auto(spec, folder, place)
    config = scheduler_config(spec, read_json(spec.name, folder.path / "scheduler" / SCHEDULER), Parametrisation())
    weights = BackgroundHash(folder.path, folder.files)
    model = _stable_diffusion(spec, place, folder.family, parts_of_folder(folder, place), config, weights, folder.index)
    return _with_vaes(replace(model, cfg_rescale=spec.cfg_rescale), others)


def _from_file(spec: ModelSpec, path: Path, place: Placement, others: Others) -> Model:
    if not path.is_file():
        raise ModelError(f"{spec.name}: there is no file {path}")
    checkpoint, parametrisation = check_file(spec, path)
    configs = (
        configs_of_folder(spec.name, on_disk(spec.name, spec.config))
        if spec.config
        else shipped_configs(spec.name, checkpoint)
    )
    check_parts(spec.name, checkpoint.family, configs.parts)
    config = scheduler_config(spec, configs.scheduler, parametrisation)
    own_parts = [part for part in FAMILIES[checkpoint.family].file_parts if part != "vae" or others.vae is None]
    parts = read_parts(spec.name, load_file(path), checkpoint, configs, place, own_parts)
    lacking = [part for part in own_parts if part not in parts]
    borrowed = _borrowed(others.base, lacking, place) if lacking and others.base else {}
    if others.vae is not None:
        vae_config = configs.parts.get("vae") or {}
        borrowed["vae"] = read_vae(others.vae.name, expanded(others.vae.weights), vae_config, place)
    base = expanded(others.base.weights) if others.base else None
    tokenizers = read_tokenizers(spec.name, configs, parts | borrowed, base)
    networks = {part: settled(network, place) for part, network in parts.items()} | borrowed | tokenizers
    weights = BackgroundHash(path.parent, (path,))
    model = _stable_diffusion(spec, place, checkpoint.family, networks, config, weights, configs.index)
    model = replace(model, cfg_rescale=rescale_of(spec, parametrisation))
    if others.vae is not None:
        model = replace(model, vae_hash=_hash_of(expanded(others.vae.weights)))
    return _with_vaes(model, replace(others, vae=None))


def _borrowed(base: ModelSpec, parts: Sequence[str], place: Placement) -> dict[str, Any]:
    """Read `parts` from another model. Raises ModelError if it lacks them too."""
    path = expanded(base.weights)
    if path.is_dir():
        folder = check_folder(base.name, path)
        found = {part: read_network(folder, part, folder.kinds[part], place) for part in parts if part in folder.kinds}
    else:
        checkpoint = read_checkpoint(read_header(path))
        if checkpoint is None:
            raise ModelError(f"{base.name}: this file does not hold a whole model")
        configs = configs_of_folder(base.name, on_disk(base.name, base.config)) if base.config else None
        configs = configs or shipped_configs(base.name, checkpoint)
        read = read_parts(base.name, load_file(path), checkpoint, configs, place, parts)
        found = {part: settled(network, place) for part, network in read.items()}
    if missing := [TITLES[part] for part in parts if part not in found]:
        raise ModelError(
            f"{base.name}: it has no {' and no '.join(missing)}, which is needed here",
            hint="name another model as base",
        )
    return found


def _with_vaes(model: StableDiffusion, others: Others) -> StableDiffusion:
    """Give `model` the other VAE and the preview VAE of `others`. Raises ModelError if one does not fit."""
    own, family, place = model.vae.config, model.spec.family, model.place
    if others.vae is not None:
        path = expanded(others.vae.weights)
        vae = _wide_enough(read_vae(others.vae.name, path, own, place), family, place)
        model = _fitting(replace(model, vae=vae, vae_hash=_hash_of(path)), vae, model, others.vae)
    if others.preview_vae is not None:
        path = expanded(others.preview_vae.weights)
        vae = read_vae(others.preview_vae.name, path, own, place, decodes_only=True)
        model = _fitting(replace(model, preview_vae=vae), vae, model, others.preview_vae)
    return model


def _fitting(changed: StableDiffusion, vae: Any, model: StableDiffusion, spec: ModelSpec) -> StableDiffusion:
    seen = replace(changed, vae=vae)
    if (seen.factor, seen.latent_channels) != (model.factor, model.latent_channels):
        raise ModelError(f"{spec.name}: this VAE does not fit {model.spec.name}: its latents have another shape")
    return changed


def _stable_diffusion(  # noqa: PLR0913, PLR0917 - what a model consists of
    spec: ModelSpec,
    place: Placement,
    family: Family,
    parts: Mapping[str, Any],
    config: Mapping[str, Any],
    weights: BackgroundHash,
    index: Mapping[str, Any],
) -> StableDiffusion:
    unet, towers = parts["unet"], _towers(family, parts)
    if unet.config.cross_attention_dim != sum(tower.text_encoder.config.hidden_size for tower in towers):
        raise ModelError(f"{spec.name}: its UNet and its text encoder do not belong together")
    if unet.config.in_channels == EDITED_CHANNELS:
        spec = replace(spec, pipeline=PIX2PIX if family == "sd" else PIX2PIX_XL)
    return StableDiffusion(
        spec=replace(spec, family=family),
        place=place,
        unet=unet,
        vae=_wide_enough(parts["vae"], family, place),
        towers=towers,
        scheduler_config=config,
        weights_hash=weights,
        scales_edited=bool(index.get("is_cosxl_edit", False)),
        zero_negative=family != "sd" and bool(index.get("force_zeros_for_empty_prompt", family == "sdxl")),
    )


def _towers(family: Family, parts: Mapping[str, Any]) -> tuple[TextEncoder, ...]:
    if family == "sd":
        return (TextEncoder(parts["tokenizer"], parts["text_encoder"]),)
    second = TextEncoder(parts["tokenizer_2"], parts["text_encoder_2"], "penultimate")
    if family == "sdxl-refiner":
        return (second,)
    return (TextEncoder(parts["tokenizer"], parts["text_encoder"], "penultimate"), second)

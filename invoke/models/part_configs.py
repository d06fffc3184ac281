"""Checks the configs of the parts of a Stable Diffusion model: unsupported inputs of a UNet, and damaged numbers."""

from collections.abc import Mapping, Sequence
from math import isclose, isfinite
from typing import Any

from invoke.errors import ModelError
from invoke.models.families import Family

Config = Mapping[str, Any]

LATENT_CHANNELS = 4
SCALE = 0.18215
"""diffusers' default scale of latents, that of Stable Diffusion 1 and 2."""
_INPUTS: Mapping[str, str] = {
    "class_embed_type": "class embeddings",
    "num_class_embeds": "class labels",
    "encoder_hid_dim": "other embeddings than those of its text encoder",
    "encoder_hid_dim_type": "other embeddings than those of its text encoder",
    "dual_cross_attention": "two kinds of embeddings at once",
}
"""Field of a UNet's config → the input that it asks for, besides latents, a timestep and a text."""
_OTHERS = "use a model for text-to-image with Stable Diffusion"
_TAKEN = (LATENT_CHANNELS, 8, 9)
"""Input channels of UNets: latents, beside those of the picture to edit, or mask and masked picture."""
_DEPTH = "a depth ControlNet does the same: --control depth auto:depth"
_CHANNELS: Mapping[int, str] = {5: _DEPTH, 7: "use the x4 upscaler's folder with -U"}
"""Input channels of UNets that are known, but not supported here → advice."""


def check_parts(name: str, family: Family, configs: Mapping[str, Config]) -> None:
    """Check the `configs` of the parts of a model of the Stable Diffusion families. Raises ModelError."""
    vae, unet = configs.get("vae", {}), configs.get("unet", {})
    check_vae(name, vae)
    for part, config in configs.items():
        if method := (config.get("quantization_config") or {}).get("quant_method"):
            raise ModelError(
                f"{name}: the weights of its {part} are quantised ({method}), which is not supported for its family",
                code="not_read",
                hint="use an fp16 version",
            )
    added = "text_time" if family != "sd" else None
    inputs = {field: text for field, text in _INPUTS.items() if unet.get(field)}
    if unet.get("addition_embed_type") != added:
        inputs["addition_embed_type"] = "other added embeddings than those of its family"
    for field, text in inputs.items():
        raise ModelError(
            f"{name}: its UNet takes {text} ({field} {unet.get(field)}), which is not supported",
            code="not_read",
            hint=f"it is made for another pipeline, such as unCLIP: {_OTHERS}",
        )
    taken, predicted = unet.get("in_channels", LATENT_CHANNELS), unet.get("out_channels", LATENT_CHANNELS)
    if taken not in _TAKEN:
        raise ModelError(
            f"{name}: UNets with {taken} input channels are not supported",
            code="not_read",
            hint=_CHANNELS.get(taken, _OTHERS),
        )
    if predicted != vae.get("latent_channels", LATENT_CHANNELS):
        raise ModelError(
            f"{name}: its UNet predicts {predicted} channels, unlike the latents of its VAE",
            code="not_read",
            hint=_OTHERS,
        )


def check_vae(name: str, config: Config) -> None:
    """Check the numbers by which a VAE's latents are scaled. Raises ModelError."""
    if not _is_positive(config.get("scaling_factor", SCALE)):
        raise _invalid(name, f"scaling_factor must be a positive number, not {config.get('scaling_factor')!r}")
    channels = config.get("latent_channels", LATENT_CHANNELS)
    for field, is_valid in (("latents_mean", _is_number), ("latents_std", _is_positive)):
        values = config.get(field)
        if values is None:
            continue
        if not isinstance(values, Sequence) or len(values) != channels or not all(map(is_valid, values)):
            raise _invalid(name, f"{field} must be {channels} numbers")


def check_scale(name: str, config: Config, own: Config) -> None:
    """Check that the VAE `name` scales its latents as the model's `own`, on whose latents the UNet was trained.

    Those of Stable Diffusion 1 and XL have the same shape. Raises ModelError.
    """
    scale, expected = (each.get("scaling_factor", SCALE) for each in (config, own))
    if not isclose(scale, expected, rel_tol=0.01):
        raise ModelError(
            f"{name}: this VAE does not fit: its latents are scaled by {scale:g}, those of the model by {expected:g}",
            code="does_not_fit",
            hint="use a VAE of the model's own family",
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_positive(value: object) -> bool:
    return _is_number(value) and value > 0  # type: ignore[operator]


def _invalid(name: str, why: str) -> ModelError:
    return ModelError(f"{name}: the VAE's config.json is invalid: {why}", hint="download it again, or correct the file")

"""Encoding pixels to latents and decoding them; an overflow in half precision is retried in float32."""

from collections.abc import Callable
from typing import Any

import torch

from invoke.engine.components.devices import dtype_of, inputs_of
from invoke.engine.components.packing import unpacked
from invoke.events import Pixels


@torch.no_grad()
def encode_pixels(vae: Any, picture: torch.Tensor) -> torch.Tensor:
    """Encode a picture (0..1, height × width × 3) to latents (float32): the posterior's mode, so nothing is random."""
    encoded = vae.encode(input_of(vae, picture))
    # a tiny VAE (TAESD) has no posterior
    latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    if (moments := _moments(vae)) is not None:
        latents = (latents - moments[0]) / moments[1]
    return (latents * vae.config.scaling_factor).float()  # type: ignore[no-any-return]


def input_of(vae: Any, picture: torch.Tensor) -> torch.Tensor:
    """Convert a picture (0..1, height × width × 3) to what a VAE encodes (-1..1, 1 × 3 × height × width)."""
    return (2 * picture - 1).permute(2, 0, 1)[None].to(inputs_of(vae), dtype_of(vae))


@torch.no_grad()
def decode_latents(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Decode latents to a picture (-1..1, 1 × 3 × height × width, float32)."""
    plain = latents / vae.config.scaling_factor
    if (moments := _moments(vae)) is not None:
        plain = plain * moments[1] + moments[0]
    decoded = vae.decode(plain.to(dtype_of(vae)), return_dict=False)[0]
    return decoded.float()  # type: ignore[no-any-return]


def _moments(vae: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Mean and standard deviation of each latent channel, if the config has them (Playground v2.5)."""
    statistics = [getattr(vae.config, name, None) for name in ("latents_mean", "latents_std")]
    if None in statistics:
        return None
    mean, deviation = (torch.tensor(values, device=inputs_of(vae)).view(1, -1, 1, 1) for values in statistics)
    return mean, deviation


def to_bytes(decoded: torch.Tensor) -> torch.Tensor:
    """Convert a decoded picture to bytes, height × width × 3, on the CPU."""
    levels = (decoded[0] * 0.5).add_(0.5).clamp_(0, 1).mul_(255).round_()
    # converting through int16 is four times as fast, and stacking is faster than permuting and making it contiguous
    return torch.stack(levels.to(torch.int16).to(torch.uint8).unbind(), dim=-1).cpu()


def to_pixels(picture: torch.Tensor) -> Pixels:
    """Convert bytes, height × width × 3, to the image type of the engine's events."""
    height, width, _ = picture.shape
    return Pixels(width, height, picture.contiguous().numpy().tobytes())


def finite(vae: Any, decode: Callable[[], torch.Tensor]) -> torch.Tensor | None:
    """The result of `decode`, which uses `vae`; None if it overflows, in float32 as well.

    Some VAEs overflow in half precision although the UNet does not.
    """
    decoded, dtype = decode(), dtype_of(vae)
    if dtype != torch.float32 and not decoded.sum().isfinite():
        with unpacked(vae):
            try:
                vae.float()
                decoded = decode()
            finally:
                vae.to(dtype)
    return decoded if decoded.sum().isfinite() else None

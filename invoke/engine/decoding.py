"""Latents become a picture, or an error: never a black one."""

import torch

from invoke.engine import images
from invoke.engine.model import Model
from invoke.errors import EngineError


def decode_whole(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """The picture of `latents`, as bytes. Raises EngineError when numbers overflowed on the way."""
    if not latents.isfinite().all():
        raise _overflow("the denoiser")
    decoded = model.decode(latents)
    if not decoded.isfinite().all() and model.vae.dtype != torch.float32:
        # half precision overflows in some VAEs where the UNet does not
        try:
            model.vae.float()
            decoded = model.decode(latents)
        finally:
            model.vae.to(model.place.dtype)
    if not decoded.isfinite().all():
        raise _overflow("the decoder")
    return images.to_bytes(decoded)


def _overflow(part: str) -> EngineError:
    return EngineError(
        f"the numbers of {part} overflowed: there is no picture",
        code="overflow",
        hint="lower -C, or use --precision float32",
    )

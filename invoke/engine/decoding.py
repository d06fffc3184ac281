"""Latents become a picture, or an error: never a black one."""

from collections.abc import Callable
from typing import Any

import torch

from invoke.engine import images
from invoke.engine.devices import dtype_of
from invoke.engine.model import Model
from invoke.errors import EngineError


def decode_whole(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """The picture of `latents`, as bytes. Raises EngineError when numbers overflowed on the way."""
    if not latents.sum().isfinite():
        raise _overflow("the denoiser", dtype_of(model.unet))
    decoded = finite(model.vae, lambda: model.decode(latents))
    if decoded is None:
        raise _overflow("the decoder", torch.float32)
    return images.to_bytes(decoded)


def finite(vae: Any, decode: Callable[[], torch.Tensor]) -> torch.Tensor | None:
    """What `decode` makes with `vae`; None where numbers overflow, in float32 as well.

    Half precision overflows in some VAEs where the UNet does not.
    """
    decoded, dtype = decode(), dtype_of(vae)
    if not decoded.sum().isfinite() and dtype != torch.float32:
        try:
            vae.float()
            decoded = decode()
        finally:
            vae.to(dtype)
    return decoded if decoded.sum().isfinite() else None


def _overflow(part: str, dtype: torch.dtype) -> EngineError:
    """`dtype` is what was overflowed in."""
    wider = "" if dtype == torch.float32 else ", or use --precision float32"
    return EngineError(
        f"the numbers of {part} overflowed: there is no picture", code="overflow", hint=f"lower -C{wider}"
    )

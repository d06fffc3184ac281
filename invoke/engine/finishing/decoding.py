"""Large latents become a picture, in tiles where one go would not fit into memory."""

from typing import Any

import torch

from invoke.engine import images
from invoke.engine.decoding import finite
from invoke.engine.finishing.tiles import in_tiles
from invoke.errors import EngineError

PIXELS = 1024
"""Side of what is decoded at once."""
OVERLAP = 16
"""Latents that neighbouring tiles share."""


def decode_large(vae: Any, latents: torch.Tensor, name: str) -> torch.Tensor:
    """The picture of `latents` as bytes, height × width × 3.

    Raises EngineError when the numbers of the tool called `name` overflowed on the way.
    """
    decoded = finite(vae, lambda: _decoded(vae, latents))
    if decoded is None:
        raise EngineError(
            f"the numbers of {name} overflowed: the picture cannot be enlarged",
            code="overflow",
            hint="use --precision float32",
        )
    return images.to_bytes(decoded)


def _decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    return in_tiles(
        lambda part: images.decode(vae, part), latents, side=PIXELS // factor, overlap=OVERLAP, scale=factor
    )

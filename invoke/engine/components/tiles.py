"""Overlapping tiles with blended edges; decoding large latents tile by tile."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine.components.vae import decode_latents, finite, to_bytes
from invoke.errors import EngineError
from invoke.images.geometry import Tile, tiles


class Blend:
    """Reassembles tiles. Where they overlap, each fades out linearly towards its own edge."""

    def __init__(self, height: int, width: int, *, overlap: int, margin: int = 0, scale: int = 1) -> None:
        """`scale`: how many times larger than its tile each result is.

        `margin`: width of the outer border of a tile, in pixels, that is not used next to a neighbour; less than half
        of `overlap`.
        """
        self._size = height, width
        self._overlap, self._margin, self._scale = overlap, margin, scale
        self._sum: torch.Tensor | None = None
        self._weight: torch.Tensor | None = None

    def add(self, tile: Tile, result: torch.Tensor) -> None:
        """Add the `result` (1 × channels × rows × columns, float32) of `tile`."""
        if self._sum is None or self._weight is None:
            height, width = (side * self._scale for side in self._size)
            self._sum = result.new_zeros((1, result.shape[1], height, width))
            self._weight = result.new_zeros((1, 1, height, width))
        rows, columns = (self._enlarged(span) for span in tile)
        down, across = (self._fade(span, side) for span, side in zip(tile, self._size, strict=True))
        weight = (down[:, None] * across[None, :]).to(result.device)
        self._sum[..., rows, columns] += result * weight
        self._weight[..., rows, columns] += weight

    def result(self) -> torch.Tensor:
        """The whole: the weighted mean where tiles overlap."""
        assert self._sum is not None
        assert self._weight is not None
        return self._sum / self._weight

    def _enlarged(self, span: slice) -> slice:
        return slice(span.start * self._scale, span.stop * self._scale)

    def _fade(self, span: slice, side: int) -> torch.Tensor:
        length, ramp = (span.stop - span.start) * self._scale, (self._overlap - 2 * self._margin) * self._scale
        inside = (torch.arange(length) + 0.5 - self._margin * self._scale).clamp(min=0)
        fade = torch.ones(length)
        if span.start > 0:
            fade = torch.minimum(fade, inside / ramp)
        if span.stop < side:
            fade = torch.minimum(fade, inside.flip(0) / ramp)
        return fade


def in_tiles(
    call: Callable[..., torch.Tensor], *planes: torch.Tensor, side: int, overlap: int, scale: int = 1
) -> torch.Tensor:
    """Compute `call(*planes)`, in tiles of `side` if the planes are larger (each 1 × channels × height × width)."""
    height, width = planes[0].shape[-2:]
    parts = tiles(height, width, side=side, overlap=overlap)
    if len(parts) == 1:
        return call(*planes)
    blend = Blend(height, width, overlap=overlap, scale=scale)
    for rows, columns in parts:
        blend.add((rows, columns), call(*(plane[..., rows, columns] for plane in planes)))
    return blend.result()


def padded(planes: torch.Tensor, multiple: int) -> torch.Tensor:
    """Pad 1 × channels × height × width at the right and bottom by repetition, until both sides are multiples."""
    height, width = planes.shape[-2:]
    return F.pad(planes, (0, -width % multiple, 0, -height % multiple), mode="replicate")


PIXELS = 1024
"""Side of a tile that is decoded at once, in pixels."""
OVERLAP = 16
"""Overlap of neighbouring tiles, in latents."""


def decode_large(vae: Any, latents: torch.Tensor, name: str) -> torch.Tensor:
    """Decode `latents` to bytes, height × width × 3.

    Raises EngineError on an overflow; `name` is the tool's, for the message.
    """
    decoded = finite(vae, lambda: _decoded(vae, latents))
    if decoded is None:
        raise EngineError(
            f"overflow in {name}; the picture was not enlarged",
            code="overflow",
            hint="use --precision float32",
        )
    return to_bytes(decoded)


def _decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    return in_tiles(
        lambda part: decode_latents(vae, part), latents, side=PIXELS // factor, overlap=OVERLAP, scale=factor
    )

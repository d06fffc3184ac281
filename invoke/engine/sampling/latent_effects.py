"""Effects on latents between steps and on the networks themselves; all are off by default."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine.components.packing import conv2d
from invoke.request import Request

if TYPE_CHECKING:
    from invoke.engine.sampling.loop import LatentConstraint
    from invoke.engine.sampling.schedules import NoiseLevel


EARLY = 0.2
"""Fraction of the steps during which the limit of `thresholded` is wider."""


def thresholded(latents: torch.Tensor, limit: float, done: float, generator: torch.Generator) -> torch.Tensor:
    """Redraw latents beyond ±`limit` randomly within it (InvokeAI 2.3's `--threshold`).

    `done` is the fraction of steps taken; before `EARLY` the limit is up to six times as wide.
    """
    wide = limit if done >= EARLY else limit * (1 + 5 * (1 - done / EARLY))
    beyond = latents.abs() > wide
    if not beyond.any():
        return latents
    most = min(max(0.7 * float(latents.abs().max()), 1.0), wide)
    drawn = most * torch.rand(latents.shape, generator=generator).to(latents.device)
    return torch.where(beyond, drawn * latents.sign(), latents)


def mirrored(latents: torch.Tensor, axis: int) -> torch.Tensor:
    """Mirror the first half of `latents` along `axis` (2: top, 3: left) onto the second."""
    half = latents.shape[axis] // 2
    first = latents.narrow(axis, 0, half)
    middle = latents.narrow(axis, half, latents.shape[axis] - 2 * half)
    return torch.cat([first, middle, first.flip(axis)], dim=axis)


def between_steps(request: Request, total: int) -> "LatentConstraint":
    """The effects of `request` on the latents after each of `total` calls: threshold and symmetry."""
    generator = torch.Generator("cpu").manual_seed(request.seed)
    first_call = {
        axis: max(1, ceil(share * total))
        for axis, share in ((3, request.h_symmetry_time_pct), (2, request.v_symmetry_time_pct))
        if share is not None
    }

    def apply(latents: torch.Tensor, level: "NoiseLevel", index: int) -> torch.Tensor:
        if request.threshold:
            latents = thresholded(latents, request.threshold, index / total, generator)
        for axis, call in first_call.items():
            if index == call:
                latents = mirrored(latents, axis)
        return latents

    return apply


FREEU = {768: (0.9, 0.2, 1.5, 1.6), 1024: (0.9, 0.2, 1.4, 1.6), 2048: (0.9, 0.2, 1.3, 1.4)}
"""Width of the text embeddings → s1, s2, b1, b2 from diffusers' guide for Stable Diffusion 1, 2 and XL."""


@contextmanager
def freeu(unet: Any, *, is_on: bool) -> Iterator[None]:
    """Context in which diffusers' FreeU, which reweights backbone and skip features, is enabled if `is_on`."""
    if is_on:
        unet.enable_freeu(*FREEU.get(unet.config.cross_attention_dim, FREEU[768]))
    try:
        yield
    finally:
        if is_on:
            unet.disable_freeu()


@contextmanager
def seamless(networks: tuple[Any, ...], axes: tuple[str, ...]) -> Iterator[None]:
    """Context in which every convolution of `networks` wraps around along `axes` (`x`, `y`), so that pictures tile."""
    changed = []
    if axes:
        for network in networks:
            for layer in network.modules():
                if isinstance(layer, torch.nn.Conv2d) and any(layer.padding):
                    layer._conv_forward = MethodType(_wrapping(axes), layer)  # type: ignore[method-assign]
                    changed.append(layer)
    try:
        yield
    finally:
        for layer in changed:
            del layer._conv_forward  # restores the class's method


def _wrapping(axes: tuple[str, ...]) -> Any:
    def forward(layer: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        down, right = layer.padding
        x = F.pad(x, (right, right, 0, 0), mode="circular" if "x" in axes else "constant")
        x = F.pad(x, (0, 0, down, down), mode="circular" if "y" in axes else "constant")
        return conv2d(x, weight, bias, layer.stride, (0, 0), layer.dilation, layer.groups)

    return forward

"""Inpainting in the denoiser, for a UNet of 4 channels, or of 9 that was trained to see the mask."""

import torch

from invoke.engine.sampling.loop import LatentConstraint
from invoke.engine.sampling.schedules import NoiseLevel


def replace_with_noise(
    start: torch.Tensor, noise: torch.Tensor, level: NoiseLevel, share: torch.Tensor
) -> torch.Tensor:
    """`start`, of which `share` is exchanged for noise alone, as strong as latents of that `level` are."""
    return torch.lerp(start, level.scale * noise, share) if share.any() else start


def keep_unmasked(
    mask: torch.Tensor, init: torch.Tensor, noise: torch.Tensor, inside: LatentConstraint
) -> LatentConstraint:
    """Outside the hole, latents are the init picture's with as much noise as they should have by now.

    This is the whole of inpainting with a 4-channel UNet (Lugmayr et al. 2022, eq. 8, without resampling).
    """

    def constrain(latents: torch.Tensor, level: NoiseLevel, index: int) -> torch.Tensor:
        return (1 - mask) * level.noised(init, noise) + mask * inside(latents, level, index)

    return constrain

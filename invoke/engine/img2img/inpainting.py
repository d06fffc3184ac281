"""Inpainting in latent space, for UNets with 4 input channels, and with 9 (trained with a mask)."""

import torch

from invoke.engine.sampling.loop import LatentConstraint
from invoke.engine.sampling.schedules import NoiseLevel


def replace_with_noise(
    start: torch.Tensor, noise: torch.Tensor, level: NoiseLevel, share: torch.Tensor
) -> torch.Tensor:
    """Replace the fraction `share` of `start` with pure noise, scaled like latents at `level`."""
    return torch.lerp(start, level.scale * noise, share) if share.any() else start


def keep_unmasked(
    mask: torch.Tensor, init: torch.Tensor, noise: torch.Tensor, inside: LatentConstraint
) -> LatentConstraint:
    """Outside the mask, replace latents with the init image's, noised to the current level.

    This is the whole of inpainting with a 4-channel UNet (Lugmayr et al. 2022, eq. 8, without resampling).
    """

    def constrain(latents: torch.Tensor, level: NoiseLevel, index: int) -> torch.Tensor:
        return (1 - mask) * level.noised(init, noise) + mask * inside(latents, level, index)

    return constrain

"""What a hole means for the denoiser, whose UNet has 4 channels, or 9 and was trained to see the hole."""

import torch

from invoke.engine.denoise import Constrain
from invoke.engine.images import Prepared
from invoke.engine.known import Known
from invoke.engine.model import Model
from invoke.engine.schedulers import Level
from invoke.request import Request

OPEN = 1 / 16
"""A 9-channel UNet knows only open and closed: what is at least so transparent is open."""


def forgotten(start: torch.Tensor, noise: torch.Tensor, level: Level, share: torch.Tensor) -> torch.Tensor:
    """`start`, of which `share` is exchanged for noise alone, as strong as latents of that `level` are."""
    return torch.lerp(start, level.scale * noise, share) if share.any() else start


def keep_outside(mask: torch.Tensor, init: torch.Tensor, noise: torch.Tensor, inside: Constrain) -> Constrain:
    """Outside the hole, latents are the init picture's with as much noise as they should have by now.

    This is the whole of inpainting with a 4-channel UNet (Lugmayr et al. 2022, eq. 8, without resampling).
    """

    def constrain(latents: torch.Tensor, level: Level, index: int) -> torch.Tensor:
        return (1 - mask) * level.noised(init, noise) + mask * inside(latents, level, index)

    return constrain


def channels(model: Model, request: Request, prepared: Prepared | None, known: Known) -> torch.Tensor | None:
    """What a 9-channel UNet sees beside the latents: its mask, and the picture without what is masked."""
    if model.input_channels == model.latent_channels:
        return None
    if prepared is None or prepared.hole is None:
        hole, picture = torch.ones(request.height, request.width), torch.zeros(request.height, request.width, 3)
    else:
        hole, picture = (prepared.hole >= OPEN).float(), prepared.filled
    return model.beside(hole, picture, lambda shown: known.picture(model, shown))

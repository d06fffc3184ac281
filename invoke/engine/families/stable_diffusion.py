"""Stable Diffusion 1.x and 2.x: one UNet, one text encoder, 4 latent channels, or 9 with mask and masked picture."""

from typing import Any

import torch

from invoke.engine.conditioning import Conditioning
from invoke.engine.denoise import Predict


def predict_with(
    unet: Any,
    conditioning: Conditioning,
    guidance_scale: float,
    channels: torch.Tensor | None = None,
) -> Predict:
    """How this UNet is asked. `channels` are stacked on the latents: an inpainting UNet's mask and masked picture.

    Guidance: eps = eps(∅) + s·(eps(c) − eps(∅)), Ho & Salimans (2022), eq. 6 in the form with s = w + 1.
    """
    guided = conditioning.negative is not None and unet.config.time_cond_proj_dim is None
    embeds = conditioning.prompt.embeds
    if guided:
        assert conditioning.negative is not None
        embeds = torch.cat([conditioning.negative.embeds, embeds])
    embeds = embeds.to(unet.device, unet.dtype)
    told_scale = _told_scale(unet, guidance_scale)

    def predict(x: torch.Tensor, t: torch.Tensor, index: int) -> torch.Tensor:
        if channels is not None:
            x = torch.cat([x, channels], dim=1)
        x = torch.cat([x, x]) if guided else x
        options = {"encoder_hidden_states": embeds, "timestep_cond": told_scale}
        eps = unet(x.to(unet.dtype), _time(t), return_dict=False, **options)[0].float()
        if not guided:
            return eps  # type: ignore[no-any-return]
        eps_negative, eps_prompt = eps.chunk(2)
        return eps_negative + guidance_scale * (eps_prompt - eps_negative)  # type: ignore[no-any-return]

    return predict


def _time(t: torch.Tensor) -> torch.Tensor:
    return t.float() if t.dtype == torch.float64 else t  # MPS has no float64


def _told_scale(unet: Any, guidance_scale: float) -> torch.Tensor | None:
    """A latent consistency UNet is told the guidance scale instead of being asked twice (Luo et al. 2023, 4.2)."""
    width = unet.config.time_cond_proj_dim
    if width is None:
        return None
    from diffusers.models.embeddings import get_timestep_embedding

    w = torch.tensor([(guidance_scale - 1) * 1000.0], device=unet.device)
    return get_timestep_embedding(w, width, flip_sin_to_cos=False, downscale_freq_shift=1).to(unet.dtype)

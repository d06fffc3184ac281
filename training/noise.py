"""The loss of every noise prediction training, from train_diffusion to the companions."""

from __future__ import annotations

import torch
from torch import Tensor

from training.model import schedule, signal_shares

SNR_LIMIT = 5.0


def noised(latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Latents (count, 4, height, width) at random timesteps: the input of the UNet, the timesteps, and the noise."""
    noise = torch.randn_like(latents)
    timesteps = torch.randint(0, 1000, (len(latents),), device=latents.device)
    return schedule().add_noise(latents, noise, timesteps), timesteps, noise


def noise_error(guess: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """The squared error of the noise, weighted by min(SNR, 5) / SNR (Hang et al. 2023)."""
    shares = signal_shares().to(noise.device)[timesteps]
    snr = shares / (1 - shares)
    weights = snr.clamp(max=SNR_LIMIT) / snr
    error: Tensor = ((guess.float() - noise).square().mean(dim=(1, 2, 3)) * weights).mean()
    return error

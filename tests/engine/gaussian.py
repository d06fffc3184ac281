"""The exact denoiser for data with a known distribution: N(mean, std²) for each pixel independently.

With x = x0 + sigma·noise, E[x0 | x] = mean + std²/(std² + sigma²)·(x − mean), and the probability-flow ODE
(Karras et al. 2022, eq. 1) has the solution x(σ) = mean + (x(σ₀) − mean)·√((std² + σ²)/(std² + σ₀²)).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from invoke.engine.sampling.loop import LoopState, at_once
from invoke.engine.sampling.loop import denoise as asking
from invoke.engine.sampling.schedules import Schedule, make_schedule
from tests.tiny import SD1_SCHEDULER

MEAN, STD = 0.3, 0.5
SHAPE = (1, 4, 32, 32)


def denoise(predict: Any, *schedule: Any) -> Iterator[LoopState]:
    """The loop with an analytic denoiser."""
    return (visit for visit in asking(at_once(predict), *schedule) if isinstance(visit, LoopState))


def sigma_at(t: float, config: Mapping[str, Any]) -> float:
    """Sigma of a (possibly fractional) timestep, as diffusers interpolates it."""
    betas = np.linspace(config["beta_start"] ** 0.5, config["beta_end"] ** 0.5, 1000) ** 2
    alphas = np.cumprod(1 - betas)
    return float(np.interp(t, np.arange(1000), ((1 - alphas) / alphas) ** 0.5))


def denoised(x: torch.Tensor, sigma: float) -> torch.Tensor:
    return MEAN + STD**2 / (STD**2 + sigma**2) * (x - MEAN)


def flow(x: torch.Tensor, sigma: float, to: float = 0.0) -> torch.Tensor:
    """The exact solution at noise level `to` of the path through `x` at `sigma`."""
    return MEAN + (x - MEAN) * ((STD**2 + to**2) / (STD**2 + sigma**2)) ** 0.5


def predict_with(config: Mapping[str, Any], oracle: Any = denoised) -> Any:
    """The network that predicts noise (or v) for `oracle`'s picture."""

    def predict(x: torch.Tensor, t: torch.Tensor, index: int) -> torch.Tensor:
        sigma = sigma_at(float(t), config)
        signal = 1 / (1 + sigma**2) ** 0.5
        x0 = oracle(x / signal, sigma)
        noise = (x / signal - x0) / sigma
        if config.get("prediction_type") == "v_prediction":
            return signal * noise - signal * sigma * x0
        return noise

    return predict


def predict_at_levels(schedule: Schedule) -> Any:
    """The same, given the true sigma of each call instead of its timestep."""

    def predict(x: torch.Tensor, t: torch.Tensor, index: int) -> torch.Tensor:
        sigma = float(schedule.levels[index].sigma / schedule.levels[index].signal)
        full = x * (1 + sigma**2) ** 0.5
        return (full - denoised(full, sigma)) / sigma

    return predict


def run(
    sampler: str, steps: int, taken: int | None = None, *, karras: bool = False, seed: int = 0, **config: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """A sampler's result for noised data, and the exact one."""
    whole = SD1_SCHEDULER | config
    schedule = make_schedule(whole, sampler, steps=steps, taken=taken or steps, karras=karras)
    latents = start(schedule, seed, from_noise=taken is None)
    generator = torch.Generator().manual_seed(seed + 1)
    *_, last = denoise(predict_with(whole), schedule, latents, generator)
    level = schedule.levels[0]
    return last.latents, flow(latents / level.signal, float(level.sigma / level.signal))


def start(schedule: Schedule, seed: int, *, from_noise: bool) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(SHAPE, generator=generator)
    if from_noise:
        return noise * schedule.noise_scale
    x0 = MEAN + STD * torch.randn(SHAPE, generator=generator)
    return schedule.levels[0].noised(x0, noise)


def error(sampler: str, steps: int, taken: int | None = None, **options: Any) -> float:
    """Root mean square distance from the exact solution."""
    made, exact = run(sampler, steps, taken, **options)
    return float((made - exact).square().mean().sqrt())

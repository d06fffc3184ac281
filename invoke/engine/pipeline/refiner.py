"""Refiner: the base model runs the beginning of the schedule, its refiner the end (ensemble of expert denoisers).

Balaji et al. (2022), eDiff-I; Podell et al. (2023), 2.5, for Stable Diffusion XL.
"""

from collections.abc import Generator

import torch

from invoke.engine.model_protocol import Model
from invoke.engine.sampling.loop import Predict
from invoke.engine.sampling.model_call import ModelCall
from invoke.engine.sampling.schedules import Schedule
from invoke.errors import ModelError


def check_refiner(model: Model, refiner: Model) -> None:
    """Raise ModelError if `refiner` cannot continue with the latents of `model`."""
    of_model, of_refiner = (
        (
            one.factor,
            one.latent_channels,
            one.vae.config.get("scaling_factor"),
            one.input_channels > one.latent_channels,
        )
        for one in (model, refiner)
    )
    if of_model[:3] != of_refiner[:3] or of_refiner[3]:
        raise ModelError(
            f"{refiner.spec.name} cannot refine pictures of {model.spec.name}: their latents differ",
            hint="sdxl-refiner belongs to Stable Diffusion XL",
        )


def first_refined(schedule: Schedule, fraction: float) -> int:
    """The index of the refiner's first call.

    As in diffusers (`denoising_start`), it takes the calls at timesteps below train − fraction × train. Samplers that
    visit points twice are not split between the two visits.
    """
    scheduler = schedule.scheduler
    train = scheduler.config.num_train_timesteps
    cutoff = round(train - fraction * train)
    count = sum(1 for t in schedule.timesteps if float(t) < cutoff)
    if getattr(scheduler, "order", 1) == 2 and count and count % 2 == 0:
        count += 1
    return len(schedule.timesteps) - min(count, len(schedule.timesteps))


def refined(begin: Predict, end: Predict, first: int) -> Predict:
    """Use `begin` before the call `first`, then `end`."""

    def predict(x: torch.Tensor, t: torch.Tensor, index: int) -> Generator[ModelCall, None, torch.Tensor]:
        return (begin if index < first else end)(x, t, index)

    return predict

"""The denoising loop, one call of the denoiser at a time."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cache, partial
from inspect import signature
from typing import Any, Protocol

import torch

from invoke.engine.sampling.model_call import ModelCall
from invoke.engine.sampling.schedules import NoiseLevel, Schedule
from invoke.engine.sampling.solvers import predicted_original


class Predict(Protocol):
    """The boundary between the loop and a model family, which handles guidance, inpainting channels and controls."""

    def __call__(self, x: torch.Tensor, t: torch.Tensor, index: int) -> Generator[ModelCall, None, torch.Tensor]:
        """The network's output (noise or v, float32) for latents `x`, already scaled for the network, at timestep `t`.

        It does not call the network itself but yields a ModelCall, which is resolved when the generator resumes.
        """
        ...


def at_once(predict: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]) -> Predict:
    """Wrap a plain function as a generator that yields no ModelCall."""

    def ask(x: torch.Tensor, t: torch.Tensor, index: int) -> Generator[ModelCall, None, torch.Tensor]:
        yield from ()
        return predict(x, t, index)

    return ask


LatentConstraint = Callable[[torch.Tensor, NoiseLevel, int], torch.Tensor]
"""Adjusts latents after a step (masked areas, symmetry): called with latents, noise level and number of calls made."""


@dataclass(frozen=True, slots=True)
class LoopState:
    """The latents after `index` calls, and their noise level."""

    index: int
    timestep: float
    latents: torch.Tensor
    level: NoiseLevel
    predict_original: Callable[[], torch.Tensor]

    @property
    def pred_original_sample(self) -> torch.Tensor:
        """The clean latents that the last call predicted. Before the first call and after the final one, `latents`
        themselves, scaled to the magnitude of clean ones."""
        return self.predict_original()


def denoise(
    predict: Predict,
    schedule: Schedule,
    latents: torch.Tensor,
    generator: torch.Generator,
    constrain: LatentConstraint = lambda latents, level, index: latents,
) -> Iterator[LoopState | ModelCall]:
    """Yield a LoopState before the first call and after each, and the ModelCalls in between.

    x_{i+1} = step(x_i, eps(x_i, t_i)): Algorithm 2 of Ho et al. (2020), for any sampler. `generator` draws the noise
    that ancestral samplers add. The caller may stop iterating at any time.
    """
    scheduler, draws = schedule.scheduler, _draws(schedule.scheduler, generator)
    level = schedule.levels[0]
    yield LoopState(0, float(schedule.timesteps[0]), latents, level, partial(torch.div, latents, level.scale))
    for i, t in enumerate(schedule.timesteps):
        x = scheduler.scale_model_input(latents, t)
        output = yield from predict(x, t, i)
        clean = partial(predicted_original, schedule.prediction_type, latents, output, level.sigma, level.signal)
        latents = scheduler.step(output, t, latents, return_dict=False, **draws)[0]
        level, is_last = schedule.levels[i + 1], i + 1 == len(schedule.timesteps)
        latents = constrain(latents, level, i + 1)
        yield LoopState(i + 1, float(t), latents, level, partial(torch.clone, latents) if is_last else clean)


def _draws(scheduler: Any, generator: torch.Generator) -> dict[str, torch.Generator]:
    return {"generator": generator} if _draws_noise(type(scheduler).step) else {}


@cache
def _draws_noise(step: Callable[..., Any]) -> bool:
    return "generator" in signature(step).parameters

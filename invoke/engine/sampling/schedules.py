"""Builds the schedule of a sampler: a fresh diffusers scheduler each time, from the model's own config.

Corrects what diffusers 0.42 gets wrong when a schedule begins in the middle or a config is converted.
`tests/engine/test_samplers.py` compares each sampler with an exact solution.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np
import torch
from diffusers import KDPM2AncestralDiscreteScheduler, LCMScheduler, TCDScheduler

from invoke.engine.sampling import solvers
from invoke.engine.sampling.solvers import DeterministicDDIMScheduler, PLMSScheduler
from invoke.errors import EngineError, first_line
from invoke.samplers import SAMPLERS, Parametrisation, Sampler

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """The noise level of latents: x = signal·x0 + sigma·noise."""

    signal: torch.Tensor
    sigma: torch.Tensor

    def noised(self, x0: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return self.signal * x0 + self.sigma * noise

    @property
    def scale(self) -> torch.Tensor:
        """The magnitude of x if x0 and noise have magnitude 1."""
        return (self.signal**2 + self.sigma**2) ** 0.5


@dataclass(frozen=True, slots=True)
class Schedule:
    """The denoiser calls of one picture, and the noise levels between them."""

    scheduler: Any
    timesteps: tuple[torch.Tensor, ...]
    """One per call of the denoiser."""
    levels: tuple[NoiseLevel, ...]
    """The noise levels of the latents before each call and after the last."""
    noise_scale: torch.Tensor
    """Factor for pure noise at the top of the schedule (diffusers' `init_noise_sigma`)."""
    prediction_type: str
    """What the network predicts: `epsilon` (the noise) or `v_prediction`."""
    notes: tuple[str, ...] = ()
    """Notes for the user."""


FEW_STEPS = 2
"""Schedules with at most this many steps use trailing spacing: otherwise they would start below the top, and the first
step would take pure noise for a half-denoised picture. Longer ones are diffusers'."""


def scheduler_class(sampler: str) -> type:
    """The class in `solvers` that takes the steps of `sampler`, or else the one of diffusers."""
    name = SAMPLERS[sampler].scheduler
    found: type = getattr(solvers, name, None) or getattr(import_module("diffusers"), name)
    return found


def make_schedule(config: Config, sampler: str, *, steps: int, taken: int, karras: bool = False) -> Schedule:
    """The schedule of the last `taken` of `steps` points for `sampler`.

    `config` is the content of the model's `scheduler_config.json`.
    Raises EngineError if the model or sampler does not support that many steps.
    """
    try:
        prepared = _prepared(json.dumps(dict(config)), sampler, steps, taken, karras)
    except (LookupError, TypeError, ValueError, ArithmeticError, NotImplementedError) as error:
        raise EngineError(
            f"{sampler} cannot be used with this model's scheduler_config.json: {first_line(error)}",
            hint="use another sampler, or correct the file",
        ) from error
    if SAMPLERS[sampler].stateless:
        return prepared
    # a fresh copy each time, without state from the previous run
    return replace(prepared, scheduler=deepcopy(prepared.scheduler))


@lru_cache(maxsize=32)
def _prepared(config_text: str, sampler: str, steps: int, taken: int, karras: bool) -> Schedule:
    config: Config = json.loads(config_text)
    row, kind, train = SAMPLERS[sampler], scheduler_class(sampler), int(config.get("num_train_timesteps", 1000))
    if config.get("timestep_type") == "continuous" and "timestep_type" not in _settings_of(kind):
        raise EngineError(
            f"{sampler} does not support this model, which was trained with continuous timesteps", hint="use k_euler"
        )
    if steps > train:
        raise EngineError(f"this model supports at most {train} steps, not {steps}", hint=f"at most -s {train}")
    few = steps <= FEW_STEPS and not row.distilled  # a distilled model has trained these steps
    spread = {**config, "timestep_spacing": "trailing"} if few else config
    scheduler = _scheduler(row, spread, steps=steps, train=train, karras=karras)
    if kind is LCMScheduler:
        scheduler.set_timesteps(steps, original_inference_steps=_lcm_steps(scheduler, steps, train))
    elif kind is TCDScheduler:
        # more steps than it was distilled on: spread over all timesteps
        is_enough = steps <= scheduler.config.original_inference_steps
        scheduler.set_timesteps(steps, original_inference_steps=None if is_enough else train)
    else:
        scheduler.set_timesteps(steps)
    if karras and row.sigmas and "use_karras_sigmas" not in scheduler.config:
        _borrow_karras(scheduler, config, steps=steps, train=train)
    if kind is PLMSScheduler:
        timesteps = scheduler.begin(taken)
    else:
        # Heun and DPM-Solver-2 visit each point but the last twice
        timesteps = scheduler.timesteps[-(scheduler.order * (taken - 1) + 1) :]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(len(scheduler.timesteps) - len(timesteps))
    levels = _levels(row.parametrisation, scheduler, timesteps)
    if row.parametrisation != "alphas_cumprod":
        _check_falling(sampler, levels[: -1 : scheduler.order], steps)
    predicts = str(config.get("prediction_type", "epsilon"))
    notes = tuple(_notes(sampler, scheduler, config, steps))
    return Schedule(scheduler, tuple(timesteps), levels, torch.as_tensor(scheduler.init_noise_sigma), predicts, notes)


def _notes(sampler: str, scheduler: Any, config: Config, steps: int) -> Iterator[str]:
    spacing = scheduler.config.get("timestep_spacing")
    if config.get("rescale_betas_zero_snr") and "rescale_betas_zero_snr" not in scheduler.config:
        yield (
            f"this model's schedule begins with pure noise (zero SNR), which {sampler} does not support: "
            "use ddim, k_euler, k_lms, k_dpmpp_2 or unipc"
        )
    if (
        config.get("timestep_spacing") == "trailing"
        and spacing != "trailing"
        and "timestep_spacing" in scheduler.config
    ):
        yield f"{sampler} cannot use this model's trailing spacing with {steps} steps: they are spread evenly"


def _scheduler(row: Sampler, config: Config, *, steps: int, train: int, karras: bool) -> Any:
    kind = scheduler_class(row.name)
    settings = {**config, **row.overrides}
    trailing = config.get("timestep_spacing") == "trailing"
    if kind in {DeterministicDDIMScheduler, PLMSScheduler}:
        # they step with a constant stride, whatever the timesteps; zero SNR needs the last one
        needs_last = config.get("rescale_betas_zero_snr") and config.get("timestep_spacing") == "linspace"
        settings["timestep_spacing"] = "trailing" if trailing or needs_last else "leading"
    elif trailing and len(np.arange(train, 0, -train / steps)) != steps:
        settings["timestep_spacing"] = "linspace"  # otherwise rounding appends a timestep of -1
    # the offset of leading timesteps must not exceed the last training timestep
    top = train // steps * (steps - 1)
    settings["steps_offset"] = min(int(config.get("steps_offset", 0)), train - 1 - top)
    settings |= {"use_karras_sigmas": karras, "use_exponential_sigmas": False, "use_beta_sigmas": False}
    taken = {key: value for key, value in settings.items() if key in _settings_of(kind)}
    return deepcopy(_prototype(kind, json.dumps(taken)))  # making a new one may take 0.2 s


@cache
def _settings_of(kind: type) -> frozenset[str]:
    """The names of the settings that a scheduler takes."""
    return frozenset(signature(kind.__init__).parameters)  # type: ignore[misc]


@lru_cache(maxsize=32)
def _prototype(kind: type, config: str) -> Any:
    return kind(**json.loads(config))


def _lcm_steps(scheduler: Any, steps: int, train: int) -> int:
    """LCM's `original_inference_steps` for `steps`: the number it was distilled on, or more if that is too few."""
    distilled = int(scheduler.config.original_inference_steps)
    return next(n for n in range(max(distilled, steps), train + 1) if n == distilled or train % n == 0)


def _borrow_karras(scheduler: Any, config: Config, *, steps: int, train: int) -> None:
    # EulerAncestralDiscreteScheduler makes no Karras sigmas, but steps along any
    euler = _scheduler(SAMPLERS["k_euler"], config, steps=steps, train=train, karras=True)
    euler.set_timesteps(steps)
    scheduler.sigmas, scheduler.timesteps = euler.sigmas, euler.timesteps


def _levels(parametrisation: Parametrisation, scheduler: Any, timesteps: torch.Tensor) -> tuple[NoiseLevel, ...]:
    one = torch.tensor(1.0)
    if parametrisation == "alphas_cumprod":
        alphas = scheduler.alphas_cumprod[timesteps]
        levels = [NoiseLevel(alpha**0.5, (1 - alpha) ** 0.5) for alpha in alphas]
    else:
        sigmas = _sigmas(scheduler)[len(scheduler.timesteps) - len(timesteps) :]
        if parametrisation == "VE":
            levels = [NoiseLevel(one, sigma) for sigma in sigmas[: len(timesteps)]]
        else:
            levels = [NoiseLevel(*scheduler._sigma_to_alpha_sigma_t(sigma)) for sigma in sigmas[: len(timesteps)]]
    return (*levels, NoiseLevel(one, torch.tensor(0.0)))


def _sigmas(scheduler: Any) -> torch.Tensor:
    """The sigma of the latents before each call, including midpoints."""
    sigmas: torch.Tensor = scheduler.sigmas.clone()
    halfway = getattr(scheduler, "sigmas_interpol", None)
    if halfway is not None and isinstance(scheduler, KDPM2AncestralDiscreteScheduler):
        sigmas[1:-1:2] = halfway[0:-2:2]
    elif halfway is not None:
        sigmas[1:-1:2] = halfway[1:-1:2]
    return sigmas


def _check_falling(sampler: str, points: tuple[NoiseLevel, ...], steps: int) -> None:
    # multistep solvers need steps + 1 different timesteps; with fewer they divide by zero
    sigmas = torch.stack([level.sigma / level.signal for level in points])
    if not bool((sigmas[1:] < sigmas[:-1]).all()):
        raise EngineError(f"{sampler} does not support {steps} steps with this model", hint=f"try -s {steps - 1}")

"""What a strength does: how many points of the schedule are run, and what the denoiser starts from."""

from dataclasses import dataclass

import torch

from invoke.engine.img2img.inpainting import replace_with_noise
from invoke.engine.img2img.prepared import Prepared
from invoke.engine.sampling.schedules import Schedule
from invoke.request import Request, steps_left


@dataclass(frozen=True, slots=True)
class Run:
    """Which part of the schedule a request runs."""

    from_noise: bool
    """Without the init image's influence the run is text-to-image, whatever `-I` says."""
    points: int
    """Of the schedule, its last ones; 0 where `--hires_fix` redraws nothing."""


def run_of(request: Request, prepared: Prepared | None) -> Run:
    """`strength` 1 starts from noise, less starts from the noised init image (SDEdit, Meng et al. 2022)."""
    is_first_pass_redrawn = prepared is None and request.hires_fix
    from_noise = (prepared is None or request.strength == 1) and not is_first_pass_redrawn
    return Run(from_noise, request.steps if from_noise else steps_left(request.steps, request.strength))


def start_latents(
    noise: torch.Tensor,
    plan: Schedule,
    init: torch.Tensor | None,
    forget: torch.Tensor | None = None,
) -> torch.Tensor:
    """What the first call is given: `noise` at the first level of `plan`, over the latents `init` if there are any.

    All are 1 × channels × height × width. Of the share `forget` (0..1, `--inpaint_replace` under a mask) nothing but
    noise is left.
    """
    start = noise * plan.noise_scale if init is None else plan.levels[0].noised(init, noise)
    return start if forget is None else replace_with_noise(start, noise, plan.levels[0], forget)

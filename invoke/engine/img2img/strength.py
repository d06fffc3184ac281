"""Strength: how many points of the schedule are run, and what the denoiser starts from."""

from dataclasses import dataclass

import torch

from invoke.engine.img2img.inpainting import replace_with_noise
from invoke.engine.img2img.prepared import Prepared
from invoke.engine.sampling.loop import LatentConstraint
from invoke.engine.sampling.schedules import NoiseLevel, Schedule
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
    if init is not None:
        return _noised(init, noise, plan.levels[0], forget)
    start = noise * plan.noise_scale
    return start if forget is None else replace_with_noise(start, noise, plan.levels[0], forget)


@dataclass(frozen=True, slots=True)
class Grades:
    """A strength for each cell of the latents: differential diffusion (Levin and Fried 2023, algorithm 1).

    A cell of strength g is the noised init picture until the call at which a run of strength g would begin, and is
    drawn from then on. Where all cells have one strength, this is that run.
    """

    cells: torch.Tensor
    """0..1, 1 × 1 × height × width: multiples of 1/255."""
    source: torch.Tensor
    """The latents of the init picture."""
    noise: torch.Tensor
    forget: torch.Tensor | None
    """See `start_latents`."""

    def start(self, plan: Schedule, run: Run) -> torch.Tensor:
        """What the first call is given. Cells of strength 1 have nothing of the init picture."""
        kept = start_latents(self.noise, plan, self.source, self.forget)
        if not run.from_noise:
            return kept
        return torch.where(self.cells == 1, start_latents(self.noise, plan, None, self.forget), kept)

    def hold(self, plan: Schedule, run: Run, steps: int, inside: LatentConstraint) -> LatentConstraint:
        """`inside`, with every cell put back until its turn. The schedule of `run` has `steps` points in all."""
        turns = self._turns(plan, run, steps)
        last = int(turns.max())

        def constrain(latents: torch.Tensor, level: NoiseLevel, index: int) -> torch.Tensor:
            drawn = inside(latents, level, index)
            if index > last:
                return drawn
            return torch.where(turns >= index, _noised(self.source, self.noise, level, self.forget), drawn)

        return constrain

    def _turns(self, plan: Schedule, run: Run, steps: int) -> torch.Tensor:
        """The index of the call from which on each cell is drawn; one that never is has one beyond the last."""
        calls, order = len(plan.timesteps), getattr(plan.scheduler, "order", 1)
        points = [steps_left(steps, level / 255) for level in range(256)]
        turns = [0 if count >= run.points else calls - (order * (count - 1) + 1) for count in points]
        turns[0] = calls + 1
        levels = (self.cells * 255).round().long()
        return torch.tensor(turns, device=levels.device)[levels]


def _noised(init: torch.Tensor, noise: torch.Tensor, level: NoiseLevel, forget: torch.Tensor | None) -> torch.Tensor:
    noised = level.noised(init, noise)
    return noised if forget is None else replace_with_noise(noised, noise, level, forget)

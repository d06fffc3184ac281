"""Strength: which part of the schedule is run, and the latents that it starts from.

`steps_left` in `request.py` counts its steps.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch

from invoke.engine.img2img.inpainting import replace_with_noise
from invoke.engine.img2img.prepared import Prepared
from invoke.engine.sampling.loop import LatentConstraint
from invoke.engine.sampling.schedules import NoiseLevel, Schedule
from invoke.request import Request, steps_left


@dataclass(frozen=True, slots=True)
class Run:
    """The part of the schedule that a request runs."""

    from_noise: bool
    """Whether it starts from pure noise: text-to-image, even with `-I`."""
    points: int
    """How many of the last points of the schedule are run; 0 if `--hires_fix` redraws nothing."""
    uses_init: bool
    """Whether anything of the init image is used: as the start, or where the mask keeps it."""


def run_of(request: Request, prepared: Prepared | None) -> Run:
    """`strength` 1 starts from noise; less starts from the noised init image (SDEdit, Meng et al. 2022)."""
    is_first_pass_redrawn = prepared is None and request.hires_fix
    from_noise = (prepared is None or request.strength == 1) and not is_first_pass_redrawn
    uses_init = prepared is not None and not (from_noise and prepared.is_plain)
    return Run(from_noise, request.points, uses_init)


def start_latents(
    noise: torch.Tensor,
    schedule: Schedule,
    init: torch.Tensor | None,
    forget: torch.Tensor | None = None,
) -> torch.Tensor:
    """The latents for the first call: `noise` at the first level of `schedule`, added to the latents `init` if given.

    All are 1 × channels × height × width. The fraction `forget` (0..1, `--inpaint_replace` under a mask) is replaced
    with pure noise.
    """
    if init is not None:
        return _noised(init, noise, schedule.levels[0], forget)
    start = noise * schedule.noise_scale
    return start if forget is None else replace_with_noise(start, noise, schedule.levels[0], forget)


@dataclass(frozen=True, slots=True)
class Grades:
    """A strength per latent cell: differential diffusion (Levin and Fried 2023, algorithm 1).

    A cell of strength g holds the noised init image until the call at which a run of strength g would begin, and is
    drawn from then on. If all cells have the same strength, this equals a plain run of that strength.
    """

    cells: torch.Tensor
    """0..1, 1 × 1 × height × width: multiples of 1/255."""
    source: torch.Tensor
    """The latents of the init picture."""
    noise: torch.Tensor
    forget: torch.Tensor | None
    """See `start_latents`."""

    def start(self, schedule: Schedule, run: Run) -> torch.Tensor:
        """The latents for the first call. Cells of strength 1 contain nothing of the init image."""
        kept = start_latents(self.noise, schedule, self.source, self.forget)
        if not run.from_noise:
            return kept
        return torch.where(self.cells == 1, start_latents(self.noise, schedule, None, self.forget), kept)

    def hold(self, schedule: Schedule, run: Run, steps: int, inside: LatentConstraint) -> LatentConstraint:
        """Wrap `inside`: restore every cell until its turn. `steps` is the length of the whole schedule."""
        turns = self._turns(schedule, run, steps)
        last = int(turns.max())

        def constrain(latents: torch.Tensor, level: NoiseLevel, index: int) -> torch.Tensor:
            drawn = inside(latents, level, index)
            if index > last:
                return drawn
            return torch.where(turns >= index, _noised(self.source, self.noise, level, self.forget), drawn)

        return constrain

    def _turns(self, schedule: Schedule, run: Run, steps: int) -> torch.Tensor:
        """The index of the call from which each cell is drawn; beyond the last call for cells that never are."""
        calls, order = len(schedule.timesteps), getattr(schedule.scheduler, "order", 1)
        turns = [0 if count >= run.points else calls - (order * (count - 1) + 1) for count in _steps_of_levels(steps)]
        turns[0] = calls + 1
        levels = (self.cells * 255).round().long()
        return torch.tensor(turns, device=levels.device)[levels]


@lru_cache(maxsize=16)
def _steps_of_levels(steps: int) -> tuple[int, ...]:
    """How many of `steps` are left at the strength of each level, 0..255."""
    return tuple(steps_left(steps, level / 255) for level in range(256))


def _noised(init: torch.Tensor, noise: torch.Tensor, level: NoiseLevel, forget: torch.Tensor | None) -> torch.Tensor:
    noised = level.noised(init, noise)
    return noised if forget is None else replace_with_noise(noised, noise, level, forget)

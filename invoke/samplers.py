"""The samplers by name, and how often each calls the denoiser: all that can be said without torch."""

from dataclasses import dataclass
from typing import Literal

Visits = Literal["once", "twice", "warm-up"]


@dataclass(frozen=True, slots=True)
class Sampler:
    """One row: `visits` tells how a schedule's points become calls of the denoiser."""

    name: str
    summary: str
    visits: Visits = "once"
    sigmas: bool = True
    """Whether `--karras` can be had."""


_ROWS = (
    Sampler("ddim", "DDIM, deterministic (Song et al. 2020)", sigmas=False),
    Sampler("plms", "pseudo linear multistep (Liu et al. 2022)", "warm-up", sigmas=False),
    Sampler("pndm", "the same as plms", "warm-up", sigmas=False),
    Sampler("k_lms", "linear multistep, fourth order (Karras et al. 2022, k-diffusion)"),
    Sampler("k_euler", "Euler"),
    Sampler("k_euler_a", "Euler with fresh noise at each step (ancestral)"),
    Sampler("k_heun", "Heun, second order", "twice"),
    Sampler("k_dpm_2", "DPM-Solver-2", "twice"),
    Sampler("k_dpm_2_a", "DPM-Solver-2, ancestral", "twice"),
    Sampler("k_dpmpp_2", "DPM-Solver++ 2M (Lu et al. 2022)"),
    Sampler("k_dpmpp_2_a", "DPM-Solver++ 2M SDE"),
    Sampler("k_dpmpp_sde", "DPM-Solver++ SDE, single step with midpoint", "twice"),
    Sampler("unipc", "UniPC (Zhao et al. 2023)"),
    Sampler("deis", "DEIS (Zhang et al. 2022)"),
    Sampler("ddpm", "ancestral sampling of the original paper (Ho et al. 2020)", sigmas=False),
    Sampler("lcm", "for latent consistency models, few steps (Luo et al. 2023)", sigmas=False),
)
SAMPLERS = {row.name: row for row in _ROWS}


def calls(sampler: str, taken: int) -> int:
    """How often the denoiser is called when `taken` points of the schedule are run.

    Heun, DPM-Solver-2 and DPM-Solver++ SDE visit every point but the last twice; PLMS repeats its second point
    to warm up.
    """
    if taken <= 1:
        return taken
    match SAMPLERS[sampler].visits:
        case "once":
            return taken
        case "twice":
            return 2 * taken - 1
        case "warm-up":
            return taken + 1

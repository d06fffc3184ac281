"""The samplers with their names in all programs, and their numbers of calls: everything that needs no torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, NamedTuple

Visits = Literal["once", "twice", "warm-up"]
Parametrisation = Literal["VE", "VP", "alphas_cumprod"]
"""The form of noisy latents: variance exploding, x = x0 + sigma·noise; variance preserving, the same scaled to
unit variance (Song et al. 2021); or preserving, by the table of cumulative alphas (Ho et al. 2020)."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """One row: `visits` maps a schedule's points to calls of the denoiser."""

    name: str
    summary: str
    visits: Visits = "once"
    sigmas: bool = True
    """Whether it supports `--karras`."""
    fresh_noise: bool = False
    """Whether its steps add fresh noise."""
    distilled: bool = False
    """Whether it is for models that were distilled to few steps."""
    fourth_order: bool = False
    """Whether it extrapolates over four steps, which overshoots if they are few and guidance is strong."""
    stateless: bool = False
    """Whether its scheduler keeps nothing from one step to the next."""
    a1111: str = ""
    """Its name in A1111, used in recipes that are written for other programs."""
    a1111_automatic: str = ""
    """What A1111's schedule type "Automatic" means for it, if that is not the model's own."""
    aliases: tuple[str, ...] = ()
    """Its other names: diffusers' class, ComfyUI, InvokeAI 3, NovelAI. Case, spaces, `_`, `-` and a `k_` in
    front make no difference, `++` is `pp`."""
    scheduler: str = ""
    """The class that takes its steps, of `engine.sampling.solvers` or of diffusers."""
    parametrisation: Parametrisation = "VE"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Replace values of the model's scheduler config; needed because `from_config` turns clipping on by default."""


_ROWS = (
    Sampler(
        "ddim",
        "DDIM, deterministic (Song et al. 2020)",
        sigmas=False,
        stateless=True,
        a1111="DDIM",
        aliases=("DDIMScheduler", "ddim_v3"),
        scheduler="DeterministicDDIMScheduler",
        parametrisation="alphas_cumprod",
        overrides={"clip_sample": False, "set_alpha_to_one": False},
    ),
    Sampler(
        "plms",
        "pseudo linear multistep (Liu et al. 2022)",
        "warm-up",
        sigmas=False,
        fourth_order=True,
        a1111="PLMS",
        aliases=("PNDMScheduler",),
        scheduler="PLMSScheduler",
        parametrisation="alphas_cumprod",
        overrides={"skip_prk_steps": True},
    ),
    Sampler(
        "pndm",
        "the same as plms",
        "warm-up",
        sigmas=False,
        fourth_order=True,
        a1111="PLMS",
        scheduler="PLMSScheduler",
        parametrisation="alphas_cumprod",
        overrides={"skip_prk_steps": True},
    ),
    Sampler(
        "k_lms",
        "linear multistep, fourth order (Karras et al. 2022, k-diffusion)",
        fourth_order=True,
        a1111="LMS",
        aliases=("LMSDiscreteScheduler",),
        scheduler="LinearMultistepScheduler",
    ),
    Sampler("k_euler", "Euler", a1111="Euler", aliases=("EulerDiscreteScheduler",), scheduler="EulerDiscreteScheduler"),
    Sampler(
        "k_euler_a",
        "Euler with fresh noise at each step (ancestral)",
        fresh_noise=True,
        a1111="Euler a",
        aliases=("EulerAncestralDiscreteScheduler", "euler_ancestral"),
        scheduler="EulerAncestralDiscreteScheduler",
    ),
    Sampler(
        "k_heun",
        "Heun, second order",
        "twice",
        a1111="Heun",
        aliases=("HeunDiscreteScheduler",),
        scheduler="HeunDiscreteScheduler",
    ),
    Sampler(
        "k_dpm_2",
        "DPM-Solver-2",
        "twice",
        a1111="DPM2",
        a1111_automatic="Karras",
        aliases=("KDPM2DiscreteScheduler", "kdpm_2"),
        scheduler="KDPM2DiscreteScheduler",
    ),
    Sampler(
        "k_dpm_2_a",
        "DPM-Solver-2, ancestral",
        "twice",
        fresh_noise=True,
        a1111="DPM2 a",
        a1111_automatic="Karras",
        aliases=("KDPM2AncestralDiscreteScheduler", "dpm_2_ancestral", "kdpm_2_a"),
        scheduler="KDPM2AncestralDiscreteScheduler",
    ),
    Sampler(
        "k_dpmpp_2",
        "DPM-Solver++ 2M (Lu et al. 2022)",
        a1111="DPM++ 2M",
        a1111_automatic="Karras",
        aliases=("DPMSolverMultistepScheduler", "dpmpp_2m"),
        scheduler="DPMSolverMultistepScheduler",
        parametrisation="VP",
        overrides={"solver_order": 2, "algorithm_type": "dpmsolver++"},
    ),
    Sampler(
        "k_dpmpp_2_a",
        "DPM-Solver++ 2M SDE",
        fresh_noise=True,
        a1111="DPM++ 2M SDE",
        a1111_automatic="Exponential",
        aliases=("dpmpp_2m_sde", "dpmpp_2m_sde_gpu"),
        scheduler="DPMSolverMultistepScheduler",
        parametrisation="VP",
        overrides={"solver_order": 2, "algorithm_type": "sde-dpmsolver++"},
    ),
    Sampler(
        "k_dpmpp_sde",
        "DPM-Solver++ SDE, single step with midpoint",
        "twice",
        fresh_noise=True,
        a1111="DPM++ SDE",
        a1111_automatic="Karras",
        aliases=("DPMSolverSDEScheduler", "dpmpp_sde_gpu"),
        scheduler="DPMSolverSDEScheduler",
    ),
    Sampler(
        "unipc",
        "UniPC (Zhao et al. 2023)",
        a1111="UniPC",
        aliases=("UniPCMultistepScheduler", "uni_pc"),
        scheduler="UniPCMultistepScheduler",
        parametrisation="VP",
    ),
    Sampler(
        "deis",
        "DEIS (Zhang et al. 2022)",
        a1111="DEIS",
        aliases=("DEISMultistepScheduler",),
        scheduler="DEISMultistepScheduler",
        parametrisation="VP",
    ),
    Sampler(
        "ddpm",
        "ancestral sampling of the original paper (Ho et al. 2020)",
        sigmas=False,
        fresh_noise=True,
        stateless=True,
        a1111="DDPM",
        aliases=("DDPMScheduler",),
        scheduler="DDPMScheduler",
        parametrisation="alphas_cumprod",
        overrides={"clip_sample": False},
    ),
    Sampler(
        "lcm",
        "for latent consistency models, few steps (Luo et al. 2023)",
        sigmas=False,
        fresh_noise=True,
        distilled=True,
        a1111="LCM",
        aliases=("LCMScheduler",),
        scheduler="LCMScheduler",
        parametrisation="alphas_cumprod",
    ),
    Sampler(
        "tcd",
        "for models distilled by trajectory consistency, few steps (Zheng et al. 2024)",
        sigmas=False,
        fresh_noise=True,
        distilled=True,
        a1111="TCD",
        aliases=("TCDScheduler",),
        scheduler="TCDScheduler",
        parametrisation="alphas_cumprod",
    ),
)
SAMPLERS = {row.name: row for row in _ROWS}


class NamedSampler(NamedTuple):
    """The meaning of a sampler's name in any program."""

    name: str
    """A key of SAMPLERS."""
    karras: bool
    """Whether the name includes Karras' noise levels, like `DPM++ 2M Karras`."""

    def __str__(self) -> str:
        return f"{self.name} --karras" if self.karras else self.name


def find_sampler(text: str) -> NamedSampler | None:
    """The sampler that `text` names in some program: `k_euler_a`, `Euler a`, `EulerAncestralDiscreteScheduler`."""
    if text in SAMPLERS:
        return NamedSampler(text, karras=False)
    spelled = text.strip().lower()
    plain = re.sub(r"[\s_]+(karras|k)$", "", spelled)  # InvokeAI 3 has `_k`
    name = dialects().get(_key(plain))
    return NamedSampler(name, karras=plain != spelled) if name else None


def nearest_sampler(text: str) -> str:
    """Our name of the sampler most similar to `text` in any program; "" if none is similar."""
    key = _key(text)
    containing = sorted((name for name in dialects() if len(key) > 2 and key in name), key=len)
    near = containing[:1] or get_close_matches(key, dialects(), 1, cutoff=0.5)
    return dialects()[near[0]] if near else ""


@cache
def dialects() -> Mapping[str, str]:
    """Every name, normalised by `_key` → ours. If two rows share a name, the first is used."""
    found: dict[str, str] = {}
    for row in _ROWS:
        for name in filter(None, (row.name, row.a1111, *row.aliases)):
            for spelled in (name, name.removesuffix("Scheduler")):
                found.setdefault(_key(spelled), row.name)
    return found


def _key(name: str) -> str:
    """`name` without the differences between programs."""
    return re.sub(r"[\s_-]", "", re.sub(r"^k[_ ]", "", name.lower().strip())).replace("++", "pp")


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

"""Strength and masks in latent space: each formula by itself, then the resulting pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.img2img.inpainting import keep_unmasked, replace_with_noise
from invoke.engine.img2img.prepared import Prepared
from invoke.engine.img2img.strength import Run, run_of, start_latents
from invoke.engine.sampling.schedules import NoiseLevel, make_schedule
from invoke.models import Registry
from tests.engine.making import disc, make, save, scene, with_alpha
from tests.making import ARequest
from tests.tiny import SD1_SCHEDULER

SHAPE = (1, 4, 3, 5)
LEVEL = NoiseLevel(signal=torch.tensor(0.6), sigma=torch.tensor(0.9))


def drawn(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 999))
def test_outside_the_mask_latents_are_the_noised_original(seed: int) -> None:
    mask = torch.rand(1, 1, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    init, noise, latents = (drawn(seed + k) for k in (1, 2, 3))
    asked: list[Any] = []

    def inside(*given: Any) -> torch.Tensor:
        asked.append(given)
        return 2 * given[0]

    made = keep_unmasked(mask, init, noise, inside)(latents, LEVEL, 7).numpy()
    m, x0, n, x = (tensor.numpy() for tensor in (mask, init, noise, latents))
    assert made == pytest.approx((1 - m) * (0.6 * x0 + 0.9 * n) + m * 2 * x, abs=1e-6)
    assert asked[0][0] is latents
    assert asked[0][1:] == (LEVEL, 7)


@given(st.integers(0, 999), st.sampled_from([0.0, 0.25, 1.0]))
def test_inpaint_replace_mixes_in_noise_of_the_right_level(seed: int, share: float) -> None:
    start, noise = drawn(seed), drawn(seed + 1)
    made = replace_with_noise(start, noise, LEVEL, torch.tensor(share, dtype=torch.float64))
    size = (0.6**2 + 0.9**2) ** 0.5
    assert made.numpy() == pytest.approx((1 - share) * start.numpy() + share * size * noise.numpy(), abs=1e-6)


@pytest.mark.parametrize("sampler", ["ddim", "k_euler", "k_lms"])
def test_the_first_call_gets_noise_or_the_noised_original(sampler: str) -> None:
    schedule = make_schedule(SD1_SCHEDULER, sampler, steps=10, taken=4, karras=False)
    noise, init, first = drawn(1), drawn(2), schedule.levels[0]
    assert start_latents(noise, schedule, None).equal(noise * schedule.noise_scale)
    noised = first.signal * init + first.sigma * noise
    assert start_latents(noise, schedule, init).equal(noised)
    share = torch.zeros(1, 1, 3, 5, dtype=torch.float64)
    assert start_latents(noise, schedule, init, share).equal(noised)
    share[..., 2:] = 1
    forgotten = start_latents(noise, schedule, init, share)
    assert forgotten[..., :2].equal(noised[..., :2])
    assert torch.allclose(forgotten[..., 2:], first.scale * noise[..., 2:])
    without = start_latents(noise, schedule, None, share)
    assert without[..., :2].equal((noise * schedule.noise_scale)[..., :2])
    assert torch.allclose(without[..., 2:], first.scale * noise[..., 2:])


@pytest.mark.parametrize(
    ("changes", "has_init", "run"),
    [
        ({}, False, Run(True, 10, False)),
        ({"strength": 0.3}, False, Run(True, 10, False)),
        ({"strength": 0.3}, True, Run(False, 3, True)),
        ({"strength": 0.99}, True, Run(False, 9, True)),
        ({"strength": 1.0}, True, Run(True, 10, False)),
        ({"hires_fix": True, "strength": 0.5}, False, Run(False, 5, False)),
        ({"hires_fix": True, "strength": 0.0}, False, Run(False, 0, False)),
        ({"hires_fix": True, "strength": 1.0}, False, Run(False, 10, False)),
        ({"hires_fix": True, "strength": 1.0}, True, Run(True, 10, False)),
    ],
)
def test_strength_is_a_fraction_of_the_schedule(
    changes: dict[str, Any], has_init: bool, run: Run, a_request: ARequest
) -> None:
    picture = torch.zeros(8, 8, 3)
    prepared = Prepared(picture, picture) if has_init else None
    request = a_request(steps=10, init_image="a.png" if has_init else None, **changes)
    assert run_of(request, prepared) == run


EFFECTS: dict[str, dict[str, Any]] = {
    "none": {},
    "threshold": {"threshold": 0.5},
    "h": {"h_symmetry_time_pct": 0.5},
    "v": {"v_symmetry_time_pct": 0.75},
    "perlin": {"perlin": 0.4},
    "seamless": {"seamless": True, "seamless_axes": ("x",)},
    "variations": {"variations": ((5, 0.3),)},
    "interval": {"guidance_interval": (0.0, 0.5)},
    "reuse": {"reuse": 2},
}


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_are_the_same_under_a_mask_that_keeps_nothing(
    name: str, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    """A wholly transparent picture at strength 1 is text to image, bit for bit, with whatever is done on the way."""
    path = with_alpha(tmp_path / "a.png", scene(), np.zeros((64, 64)))
    effect = EFFECTS[name]
    plain = make(engine, a_request(**effect))
    assert np.array_equal(make(engine, a_request(init_image=path, strength=1.0, **effect)), plain)
    assert name == "none" or not np.array_equal(plain, make(engine, a_request()))


@pytest.mark.parametrize("name", [name for name in EFFECTS if name != "none"])
def test_effects_change_only_the_repainted_part(
    name: str, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    path = with_alpha(tmp_path / "a.png", scene(), np.where(disc(), 0, 255))
    masked = make(engine, a_request(init_image=path, strength=0.75))
    both = make(engine, a_request(init_image=path, strength=0.75, **EFFECTS[name]))
    assert np.array_equal(both[~disc()], scene()[~disc()])
    assert not np.array_equal(both, masked)


@pytest.mark.parametrize("hole", [None, "disc"])
def test_cached_latents_of_seamless_pictures_are_separate(
    hole: str | None, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    """Plain, then seamless, then plain: each as in an engine that has made nothing before."""
    path = tmp_path / "a.png"
    save(path, scene()) if hole is None else with_alpha(path, scene(), np.where(disc(), 0, 255))
    requests = [a_request(init_image=path, strength=0.5, **more) for more in ({}, {"seamless": True})]
    alone = [make(DiffusionEngine(Registry({})), request) for request in requests]
    made = [make(engine, request) for request in (*requests, *requests)]
    assert [np.array_equal(a, b) for a, b in zip(made, alone * 2, strict=True)] == [True] * 4


def test_inpaint_replace_1_starts_from_pure_noise(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    """With `-r 1` the hidden colours have no influence: the hole starts from pure noise."""
    one = with_alpha(tmp_path / "a.png", scene(), np.zeros((64, 64)))
    other = with_alpha(tmp_path / "b.png", 255 - scene(), np.zeros((64, 64)))
    same = [make(engine, a_request(init_image=path, strength=0.75, inpaint_replace=1.0)) for path in (one, other)]
    assert np.array_equal(*same)
    apart = [make(engine, a_request(init_image=path, strength=0.75, infill="keep")) for path in (one, other)]
    assert not np.array_equal(*apart)

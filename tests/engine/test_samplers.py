"""Each sampler compared with an exact solution, an exact distribution, or k-diffusion's published algorithm."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from invoke.engine.sampling.schedules import FEW_STEPS, NoiseLevel, Schedule, make_schedule
from invoke.errors import EngineError
from invoke.request import steps_left
from invoke.samplers import SAMPLERS, calls
from tests.engine import gaussian
from tests.engine.gaussian import MEAN, SHAPE, STD, error, predict_with, run
from tests.tiny import SD1_SCHEDULER

DETERMINISTIC = [row.name for row in SAMPLERS.values() if not row.fresh_noise]
RANDOM = [row.name for row in SAMPLERS.values() if row.fresh_noise and not row.distilled]
CONFIGS = (
    {},
    {"timestep_spacing": "leading"},
    {"timestep_spacing": "trailing"},
    {"prediction_type": "v_prediction"},
)


def names(config: dict[str, str]) -> str:
    return next(iter(config.values()), "sd1")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_number_of_calls_matches_the_table(sampler: str) -> None:
    """All that strengths of two digits leave of some numbers of steps; the ends of others."""
    for steps in (*range(1, 12), 20, 29, 50, 61, 99, 100):
        left = {steps_left(steps, hundredths / 100) for hundredths in range(1, 101)}
        for taken in left if steps in {2, 7, 29} else {1, min(7, steps), steps}:
            schedule = make_schedule(SD1_SCHEDULER, sampler, steps=steps, taken=taken)
            assert len(schedule.timesteps) == calls(sampler, taken), (steps, taken)
            assert len(schedule.levels) == len(schedule.timesteps) + 1


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("karras", [False, True])
def test_the_number_of_calls_is_independent_of_the_spacing(sampler: str, spacing: str, karras: bool) -> None:
    for steps in (1, 2, 3, 7, 30, 61):  # with 61 steps, diffusers' trailing spacing has one more, at -1
        config = SD1_SCHEDULER | {"timestep_spacing": spacing}
        schedule = make_schedule(config, sampler, steps=steps, taken=steps, karras=karras)
        assert len(schedule.timesteps) == calls(sampler, steps), steps
        assert min(schedule.timesteps) >= 0


@pytest.mark.parametrize("sampler", [name for name, row in SAMPLERS.items() if not row.distilled])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_few_steps_start_at_the_top(sampler: str, spacing: str) -> None:
    config = SD1_SCHEDULER | {"timestep_spacing": spacing}
    for steps in range(1, FEW_STEPS + 1):
        schedule = make_schedule(config, sampler, steps=steps, taken=steps)
        assert max(schedule.timesteps) == config["num_train_timesteps"] - 1, steps


@given(st.integers(FEW_STEPS + 1, 1000), st.sampled_from(["epsilon", "v_prediction"]), st.data())
def test_ddim_equals_diffusers_bit_for_bit(steps: int, predicts: str, data: st.DataObject) -> None:
    config = SD1_SCHEDULER | {"prediction_type": predicts, "steps_offset": 0}
    ours = make_schedule(config, "ddim", steps=steps, taken=steps)
    stock: Any = DDIMScheduler.from_config(config)
    stock.set_timesteps(steps)
    assert [int(t) for t in ours.timesteps] == stock.timesteps.tolist()
    t = data.draw(st.sampled_from(ours.timesteps))
    output, latents = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(steps))
    stepped = ours.scheduler.step(output, t, latents), stock.step(output, t, latents, return_dict=False)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*stepped, strict=True))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_aborted_run_leaves_no_state(sampler: str) -> None:
    first, _ = run(sampler, 8)
    schedule = make_schedule(SD1_SCHEDULER, sampler, steps=8, taken=8)
    visits = gaussian.denoise(predict_with(SD1_SCHEDULER), schedule, torch.ones(SHAPE), torch.Generator())
    assert [next(visits).index for _ in range(3)] == [0, 1, 2]
    again, _ = run(sampler, 8)
    assert torch.equal(first, again)


@pytest.mark.parametrize("sampler", DETERMINISTIC)
@pytest.mark.parametrize("config", CONFIGS, ids=names)
def test_a_sampler_is_as_exact_from_the_middle_of_the_schedule(sampler: str, config: dict[str, str]) -> None:
    for steps in (10, 20, 50):
        whole, part = (error(sampler, steps, taken, **config) for taken in (None, round(steps * 0.7)))
        assert part <= 1.25 * whole + 2e-4, (steps, whole, part)


@pytest.mark.parametrize("sampler", DETERMINISTIC)
@pytest.mark.parametrize("config", CONFIGS, ids=names)
def test_errors_decrease_with_more_steps(sampler: str, config: dict[str, str]) -> None:
    for taken in (lambda steps: None, lambda steps: round(steps * 0.7)):
        few, many = error(sampler, 10, taken(10), **config), error(sampler, 40, taken(40), **config)
        assert many < few / 2
        assert many < 0.04


@pytest.mark.parametrize("sampler", [name for name in DETERMINISTIC if SAMPLERS[name].sigmas])
def test_karras_sigmas_are_as_exact(sampler: str) -> None:
    for taken in (None, 28):
        assert error(sampler, 40, taken, karras=True) < 0.03


@pytest.mark.parametrize("sampler", RANDOM)
@pytest.mark.parametrize("config", CONFIGS, ids=names)
@pytest.mark.parametrize("taken", [None, 56])
def test_stochastic_samplers_give_the_right_distribution(
    sampler: str, config: dict[str, str], taken: int | None
) -> None:
    made, _ = run(sampler, 80, taken, **config)
    assert made.mean() == pytest.approx(MEAN, abs=0.03)
    assert made.std() == pytest.approx(STD, abs=0.05)


@pytest.mark.parametrize("sampler", [name for name in RANDOM if SAMPLERS[name].sigmas])
def test_karras_sigmas_keep_the_distribution(sampler: str) -> None:
    made, _ = run(sampler, 80, karras=True)
    assert made.std() == pytest.approx(STD, abs=0.05)
    assert not made.equal(run(sampler, 80)[0])


@pytest.mark.parametrize("taken", [None, 3])
def test_lcm_is_exact_for_a_consistency_model(taken: int | None) -> None:
    schedule = make_schedule(SD1_SCHEDULER, "lcm", steps=4, taken=taken or 4)
    latents = gaussian.start(schedule, 0, from_noise=taken is None)
    predict = gaussian.predict_with(SD1_SCHEDULER, gaussian.flow)
    *_, last = gaussian.denoise(predict, schedule, latents, torch.Generator().manual_seed(1))
    assert last.latents.mean() == pytest.approx(MEAN, abs=0.03)
    assert last.latents.std() == pytest.approx(STD, abs=0.03)


@pytest.mark.parametrize("sampler", RANDOM)
def test_noise_comes_only_from_the_generator(sampler: str) -> None:
    torch.manual_seed(1)
    first, _ = run(sampler, 6, seed=3)
    torch.manual_seed(2)
    assert first.equal(run(sampler, 6, seed=3)[0])
    assert not first.equal(run(sampler, 6, seed=4)[0])


def test_linear_multistep_equals_k_diffusion() -> None:
    """Against `sample_lms`, its coefficients integrated numerically."""
    for taken in (None, 14):
        schedule = make_schedule(SD1_SCHEDULER, "k_lms", steps=20, taken=taken or 20)
        x = gaussian.start(schedule, 0, from_noise=taken is None)
        expected = _sample_lms(x, _sigmas(schedule))
        *_, last = gaussian.denoise(gaussian.predict_at_levels(schedule), schedule, x, torch.Generator())
        assert (last.latents - expected).abs().max() < 2e-5


def test_dpm_solver_sde_equals_k_diffusion() -> None:
    """Against `sample_dpmpp_sde`, with one Brownian path drawn in the order of the calls."""
    for taken, karras in ((None, False), (14, False), (None, True)):
        schedule = make_schedule(SD1_SCHEDULER, "k_dpmpp_sde", steps=20, taken=taken or 20, karras=karras)
        x = gaussian.start(schedule, 0, from_noise=taken is None)
        path = Brownian(torch.Generator().manual_seed(5))
        expected = _sample_dpmpp_sde(x, _sigmas(schedule)[::2], path)
        predict = gaussian.predict_at_levels(schedule)
        *_, last = gaussian.denoise(predict, schedule, x, torch.Generator().manual_seed(5))
        assert (last.latents - expected).abs().max() < 2e-5


@pytest.mark.parametrize("sampler", ["k_dpmpp_2", "unipc", "deis"])
def test_unsupported_numbers_of_steps_are_refused(sampler: str) -> None:
    with pytest.raises(EngineError, match="1000 steps"):
        make_schedule(SD1_SCHEDULER, sampler, steps=1000, taken=1000)
    with pytest.raises(EngineError, match="at most 1000 steps, not 1001"):
        make_schedule(SD1_SCHEDULER, sampler, steps=1001, taken=700)
    assert error(sampler, 999) < 0.03


@pytest.mark.parametrize("sampler", ["ddim", "plms", "k_lms", "k_euler", "k_heun"])
def test_all_1000_steps_of_the_schedule_can_be_taken(sampler: str) -> None:
    assert error(sampler, 1000, timestep_spacing="leading") < 0.02


def _sigmas(schedule: Schedule) -> list[float]:
    return [float(level.sigma) for level in schedule.levels]


def _sample_lms(x: torch.Tensor, sigmas: list[float], order: int = 4) -> torch.Tensor:
    nodes, weights = np.polynomial.legendre.leggauss(16)
    derivatives: list[torch.Tensor] = []
    for i, sigma in enumerate(sigmas[:-1]):
        derivatives.append((x - gaussian.denoised(x, sigma)) / sigma)
        derivatives = derivatives[-order:]
        now = len(derivatives)
        half, middle = (sigmas[i + 1] - sigma) / 2, (sigmas[i + 1] + sigma) / 2
        for j, derivative in enumerate(reversed(derivatives)):
            basis = np.ones_like(nodes)
            for k in range(now):
                if k != j:
                    basis *= (half * nodes + middle - sigmas[i - k]) / (sigmas[i - j] - sigmas[i - k])
            x = x + float((weights * basis).sum() * half) * derivative
    return x


class Brownian:
    """k-diffusion's `BrownianTreeNoiseSampler`, for times asked in order: W(from) − W(to), as unit noise."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.known: dict[float, torch.Tensor] = {}

    def __call__(self, x: torch.Tensor, begin: float, end: float) -> torch.Tensor:
        if begin not in self.known:
            self.known = {begin: torch.zeros_like(x)}
        nearest = min(self.known)
        fresh = torch.randn(x.shape, generator=self.generator) * math.sqrt(nearest - end)
        self.known[end] = self.known[nearest] + fresh
        return (self.known[end] - self.known[begin]) / math.sqrt(begin - end)


def _sample_dpmpp_sde(
    x: torch.Tensor, sigmas: list[float], noise: Callable[[torch.Tensor, float, float], torch.Tensor]
) -> torch.Tensor:
    for sigma, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        x0 = gaussian.denoised(x, sigma)
        if after == 0:
            return x0
        t, t_next, r = -math.log(sigma), -math.log(after), 1 / 2
        s = t + r * (t_next - t)
        down, up = _ancestral_step(sigma, math.exp(-s))
        x_2 = (down / sigma) * x - math.expm1(t + math.log(down)) * x0 + noise(x, sigma, math.exp(-s)) * up
        x0_2 = gaussian.denoised(x_2, math.exp(-s))
        down, up = _ancestral_step(sigma, after)
        fac = 1 / (2 * r)
        x0_d = (1 - fac) * x0 + fac * x0_2
        x = (down / sigma) * x - math.expm1(t + math.log(down)) * x0_d + noise(x, sigma, after) * up
    raise AssertionError("the last sigma is 0")


def _ancestral_step(begin: float, end: float) -> tuple[float, float]:
    up = min(end, (end**2 * (begin**2 - end**2) / begin**2) ** 0.5)
    return (end**2 - up**2) ** 0.5, up


@pytest.mark.parametrize("sampler", ["ddim", "k_euler_a", "k_heun"])
def test_a_constraint_gets_the_reached_timestep_and_noise_level(sampler: str) -> None:
    schedule = make_schedule(SD1_SCHEDULER, sampler, steps=20, taken=6)
    told: list[tuple[int, NoiseLevel]] = []

    def constrain(latents: torch.Tensor, level: NoiseLevel, index: int) -> torch.Tensor:
        told.append((index, level))
        return torch.full_like(latents, float(index))

    latents, generator = gaussian.start(schedule, 0, from_noise=True), torch.Generator().manual_seed(1)
    _, *states = gaussian.denoise(predict_with(SD1_SCHEDULER), schedule, latents, generator, constrain)
    assert told == [*enumerate(schedule.levels)][1:]
    assert [(state.index, float(state.latents.mean())) for state in states] == [(i, float(i)) for i, _ in told]


@pytest.mark.parametrize(
    ("changes", "sampler", "sentence"),
    [
        ({"solver_type": "odd"}, "k_dpmpp_2", "k_dpmpp_2 cannot be used with this model's scheduler_config.json: odd"),
        ({"interpolation_type": "odd"}, "k_euler", "k_euler cannot be used with this model's scheduler_config.json: o"),
        ({"timestep_type": "continuous"}, "k_dpmpp_2", "k_dpmpp_2 does not support .* with continuous timesteps"),
        ({"timestep_type": "continuous"}, "ddim", "ddim does not support this model, .* with continuous timesteps"),
    ],
)
def test_settings_that_a_sampler_cannot_use_are_one_sentence(
    changes: dict[str, Any], sampler: str, sentence: str
) -> None:
    with pytest.raises(EngineError, match=sentence) as caught:
        make_schedule(SD1_SCHEDULER | changes, sampler, steps=5, taken=5)
    assert caught.value.hint


def test_ddim_begins_with_the_last_timestep_where_zero_snr_needs_it() -> None:
    config = SD1_SCHEDULER | {"rescale_betas_zero_snr": True, "timestep_spacing": "linspace"}
    assert make_schedule(config, "ddim", steps=5, taken=5).timesteps[0] == 999


def test_the_last_timestep_follows_steps_offset() -> None:
    """`steps_offset` is 1 for Stable Diffusion: its last timestep is 1. Of other models it is 0."""
    config = SD1_SCHEDULER | {"steps_offset": 0}
    schedule = make_schedule(config, "plms", steps=20, taken=5)
    assert sorted(set(map(float, schedule.timesteps))) == [0, 50, 100, 150, 200]


@pytest.mark.parametrize("sampler", ["k_dpm_2", "k_dpm_2_a"])
def test_a_midpoint_has_the_noise_level_of_its_timestep(sampler: str) -> None:
    """Both are read off the model's noise schedule, whose log sigmas are interpolated in the timestep."""
    schedule = make_schedule(SD1_SCHEDULER, sampler, steps=12, taken=12)
    betas = np.linspace(SD1_SCHEDULER["beta_start"] ** 0.5, SD1_SCHEDULER["beta_end"] ** 0.5, 1000) ** 2
    alphas = np.cumprod(1 - betas)
    log_sigmas = np.log((1 - alphas) / alphas) / 2
    expected = np.exp(np.interp([float(t) for t in schedule.timesteps], np.arange(1000), log_sigmas))
    sigmas = [float(level.sigma / level.signal) for level in schedule.levels[:-1]]
    assert sigmas == pytest.approx(expected, rel=1e-3)

"""Seeds, variations and Perlin noise, compared with other implementations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invoke.engine.sampling.noise import perlin, slerp, starting_noise
from invoke.request import Request
from tests import making
from tests.making import ARequest

SHAPE = (1, 4, 8, 8)


def noise(request: Request) -> torch.Tensor:
    return starting_noise(request, SHAPE)[0]


def test_noise_comes_from_a_cpu_generator_with_the_seed(a_request: ARequest) -> None:
    torch.manual_seed(99)
    expected = torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(7))
    assert noise(a_request(seed=7)).equal(expected)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_every_seed_has_its_own_noise(a_request: ARequest, seed: int) -> None:
    assert noise(a_request(seed=seed)).isfinite().all()
    assert not noise(a_request(seed=seed)).equal(noise(a_request(seed=5)))


def test_weight_0_of_a_variation_is_the_seed_and_1_the_other_seed(a_request: ARequest) -> None:
    assert noise(a_request(seed=1, variations=((2, 0.0),))).equal(noise(a_request(seed=1)))
    other = noise(a_request(seed=1, variations=((2, 1.0),)))
    assert torch.allclose(other, noise(a_request(seed=2)), atol=1e-6)


def test_variations_keep_unit_variance_and_move_further_with_weight(a_request: ARequest) -> None:
    base = noise(a_request(seed=1))
    distance = 0.0
    for weight in (0.1, 0.3, 0.6):
        varied = noise(a_request(seed=1, variations=((2, weight),)))
        assert varied.std() == pytest.approx(1, abs=0.1)
        assert (varied - base).norm() > distance
        distance = float((varied - base).norm())


def test_variations_are_combined_in_their_order(a_request: ARequest) -> None:
    a, b = (2, 0.3), (3, 0.4)
    assert not torch.allclose(noise(a_request(variations=(a, b))), noise(a_request(variations=(b, a))))
    by_hand = slerp(slerp(noise(a_request(seed=42)), noise(a_request(seed=2)), 0.3), noise(a_request(seed=3)), 0.4)
    assert noise(a_request(variations=(a, b))).equal(by_hand)


def test_slerp_equals_shoemakes_formula() -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert torch.allclose(slerp(a, b, 1 / 3), torch.tensor([3**0.5 / 2, 0.5]))
    assert slerp(a, a, 0.4).equal(a)


@given(st.integers(0, 999), st.floats(0, 1))
def test_slerp_keeps_the_length_and_divides_the_angle(seed: int, weight: float) -> None:
    a, b = torch.randn(2, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    a, b = a / a.norm(), b / b.norm()
    point = slerp(a, b, weight)
    assert float(point.norm()) == pytest.approx(1)
    angle = math.acos(float(a @ b))
    assert math.acos(max(-1.0, min(1.0, float(a @ point)))) == pytest.approx(weight * angle, abs=1e-5)
    assert math.acos(max(-1.0, min(1.0, float(b @ point)))) == pytest.approx((1 - weight) * angle, abs=1e-5)


def test_slerp_of_nearly_parallel_or_opposite_vectors_is_linear() -> None:
    """Also for opposite vectors, whose great circle is undefined."""
    a = torch.tensor([1.0, 0.0])
    near = torch.tensor([1.0, 0.02])
    assert slerp(a, near, 0.25).equal(torch.lerp(a, near, 0.25))
    assert slerp(a, -a, 0.25).equal(torch.tensor([0.5, 0.0]))


@settings(max_examples=30)
@given(st.integers(0, 99), st.sampled_from([(1, 4, 4, 4), (1, 4, 5, 8), (2, 3, 8, 8), (1, 4, 13, 24), (1, 1, 40, 16)]))
def test_perlin_noise_equals_a_plain_implementation(seed: int, shape: tuple[int, int, int, int]) -> None:
    """Value by value, written out for one pixel at a time (Perlin 1985, with the curve of 2002)."""
    expected = _perlin(shape, seed)
    made = perlin(shape, torch.Generator().manual_seed(seed)).numpy()
    assert made.std(ddof=1) == pytest.approx(1, abs=1e-4)
    assert made == pytest.approx(expected / expected.std(ddof=1), abs=1e-4)


def _perlin(shape: tuple[int, int, int, int], seed: int) -> np.ndarray:
    batch, channels, height, width = shape
    cells = min(8, height, width)
    drawn = torch.rand(batch * channels, cells + 1, cells + 1, generator=torch.Generator().manual_seed(seed))
    angles = 2 * np.pi * drawn.numpy().astype(float)
    noise = np.zeros((batch * channels, height, width))
    for plane, row, column in np.ndindex(noise.shape):
        y, x = (row + 0.5) * cells / height, (column + 0.5) * cells / width
        top, left = int(y), int(x)
        for down in (0, 1):
            for right in (0, 1):
                angle = angles[plane, top + down, left + right]
                dy, dx = y - (top + down), x - (left + right)
                share = _ease(1 - abs(dy)) * _ease(1 - abs(dx))
                noise[plane, row, column] += share * (np.cos(angle) * dx + np.sin(angle) * dy)
    return noise.reshape(shape)


def _ease(t: float) -> float:
    return 6 * t**5 - 15 * t**4 + 10 * t**3


@given(st.sampled_from([0.001, 0.1, 0.5, 0.9, 1.0]), st.integers(0, 999))
def test_mixing_in_perlin_noise_keeps_unit_deviation(share: float, seed: int) -> None:
    shape = (1, 4, 16, 16)
    request = making.a_request(seed=seed, perlin=share)
    made, generator = starting_noise(request, shape)
    own = torch.Generator().manual_seed(seed)
    white = torch.randn(shape, generator=own)
    smooth = perlin(shape, torch.Generator().manual_seed(seed))
    mixed = (1 - share) * white.double() + share * smooth.double()
    assert float(made.std()) == pytest.approx(1, abs=1e-4)
    assert torch.allclose(made.double(), mixed / mixed.std(), atol=1e-4)
    assert torch.rand(3, generator=generator).equal(torch.rand(3, generator=own)), "perlin noise draws from another"


def test_perlin_noise_is_mixed_in_before_variations(a_request: ARequest) -> None:
    both = noise(a_request(perlin=0.5, variations=((2, 0.3),)))
    assert both.equal(slerp(noise(a_request(perlin=0.5)), noise(a_request(seed=2)), 0.3))


def test_fresh_noise_continues_from_the_same_generator(a_request: ARequest) -> None:
    _, generator = starting_noise(a_request(seed=7, variations=((8, 0.5),)), SHAPE)
    expected = torch.Generator("cpu").manual_seed(7)
    torch.randn(SHAPE, generator=expected)
    assert torch.randn(3, generator=generator).equal(torch.randn(3, generator=expected))

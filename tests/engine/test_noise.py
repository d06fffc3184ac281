"""Seeds and variations."""

import pytest
import torch

from invoke.engine.sampling.noise import slerp, starting_noise
from invoke.request import Request
from tests.making import ARequest

SHAPE = (1, 4, 8, 8)


def noise(request: Request) -> torch.Tensor:
    return starting_noise(request, SHAPE)[0]


def test_noise_is_that_of_a_cpu_generator_of_the_seed(a_request: ARequest) -> None:
    torch.manual_seed(99)
    expected = torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(7))
    assert noise(a_request(seed=7)).equal(expected)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_every_seed_has_its_own(a_request: ARequest, seed: int) -> None:
    assert noise(a_request(seed=seed)).isfinite().all()
    assert not noise(a_request(seed=seed)).equal(noise(a_request(seed=5)))


def test_a_variation_of_weight_0_is_the_seed_itself_and_of_1_the_other(a_request: ARequest) -> None:
    assert noise(a_request(seed=1, variations=((2, 0.0),))).equal(noise(a_request(seed=1)))
    other = noise(a_request(seed=1, variations=((2, 1.0),)))
    assert torch.allclose(other, noise(a_request(seed=2)), atol=1e-6)


def test_variations_keep_the_size_of_noise_and_go_further_with_the_weight(a_request: ARequest) -> None:
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


def test_slerp_as_shoemake_has_it() -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert torch.allclose(slerp(a, b, 1 / 3), torch.tensor([3**0.5 / 2, 0.5]))
    assert slerp(a, a, 0.4).equal(a)


def test_fresh_noise_goes_on_from_the_same_generator(a_request: ARequest) -> None:
    _, generator = starting_noise(a_request(seed=7, variations=((8, 0.5),)), SHAPE)
    expected = torch.Generator("cpu").manual_seed(7)
    torch.randn(SHAPE, generator=expected)
    assert torch.randn(3, generator=generator).equal(torch.randn(3, generator=expected))

"""Classifier-free guidance, compared with its equations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from invoke.engine.sampling.guidance import Guidance
from tests.making import a_request


@given(st.integers(0, 999), st.floats(0, 30), st.sampled_from([0.0, 0.3, 1.0]))
def test_guidance_and_rescaling_equal_their_formulas(seed: int, scale: float, rescale: float) -> None:
    """Ho & Salimans (2022), eq. 6; Lin et al. (2024), eq. 15 and 16."""
    answer = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    negative, positive = answer.numpy()
    expected = negative + scale * (positive - negative)
    rescaled = expected * positive.std(ddof=1) / expected.std(ddof=1)
    made = Guidance(scale, rescale=rescale).combined(answer.clone()).numpy()
    assert made == pytest.approx(np.array([rescale * rescaled + (1 - rescale) * expected]), rel=1e-9, abs=1e-9)


@given(st.integers(0, 999), st.floats(0, 30), st.floats(0, 5))
def test_image_guidance_equals_its_formula(seed: int, scale: float, image_scale: float) -> None:
    """Brooks et al. (2023), eq. 3: towards the picture from nothing, towards the text from the picture."""
    answer = torch.randn(3, 4, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    nothing, negative, positive = answer.numpy()
    expected = nothing + image_scale * (negative - nothing) + scale * (positive - negative)
    made = Guidance(scale, image_scale=image_scale).combined(answer.clone()).numpy()
    assert made == pytest.approx(expected[None], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("timestep", "is_on"), [(999, False), (751, False), (749, True), (500, True), (250, True), (249, False), (0, False)]
)
def test_guidance_applies_within_its_interval(timestep: int, is_on: bool) -> None:
    """Fractions of the way from noise to picture: the first is included, the last is not."""
    assert Guidance(7.5, (0.25, 0.75)).reaches(torch.tensor(timestep)) is is_on
    assert Guidance(7.5).reaches(torch.tensor(timestep))


def test_the_whole_interval_includes_the_last_step() -> None:
    whole = Guidance(7.5, (0.0, 1.0))
    assert [whole.reaches(torch.tensor(float(t))) for t in (999, 500, 0)] == [True, True, True]


def test_guidance_is_taken_from_the_request() -> None:
    request = a_request(guidance_scale=3.5, guidance_interval=(0.1, 0.6))
    own = request.image_guidance_scale
    assert Guidance.of(request, 500, 0.2) == Guidance(3.5, (0.1, 0.6), 500, image_scale=own, rescale=0.2)
    assert Guidance.of(replace(request, image_guidance_scale=3.25), 500).image_scale == 3.25
    for value in (0.0, 0.4):
        assert Guidance.of(replace(request, guidance_rescale=value), 500, 0.2).rescale == value

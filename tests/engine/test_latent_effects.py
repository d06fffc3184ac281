"""What is done to latents between steps, to the networks' borders, and to the result's colours."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.pipeline import colour_match
from invoke.engine.sampling import latent_effects
from invoke.engine.sampling.noise import perlin
from invoke.events import Step
from invoke.request import Request
from tests import tiny
from tests.engine.making import image_of
from tests.making import ARequest


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def calls(engine: DiffusionEngine, request: Request) -> int:
    return max(event.index for event in engine.generate(request) if isinstance(event, Step))


@given(st.integers(0, 99), st.sampled_from([(4, 4), (5, 8), (8, 8), (13, 24), (40, 16)]))
def test_perlin_noise_is_smooth_and_of_unit_size(seed: int, size: tuple[int, int]) -> None:
    noise = perlin((1, 4, *size), generator(seed))
    assert noise.shape == (1, 4, *size)
    assert noise.std() == pytest.approx(1, abs=0.01)
    if min(size) >= 13:  # more than a cell a pixel
        white = torch.randn(noise.shape, generator=generator(seed))
        assert (noise.diff(dim=-1) ** 2).mean() < (white.diff(dim=-1) ** 2).mean()


@given(st.floats(0.5, 3), st.integers(0, 99))
def test_no_value_is_left_beyond_the_threshold(limit: float, seed: int) -> None:
    latents = 2 * torch.randn(1, 4, 8, 8, generator=generator(seed))
    held = latent_effects.thresholded(latents, limit, 1.0, generator())
    assert held.abs().max() <= max(limit, 1e-6) + 1e-6
    kept = latents.abs() <= limit
    assert torch.equal(held[kept], latents[kept])


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("side", [8, 9])
def test_a_mirrored_half_equals_the_other(axis: int, side: int) -> None:
    latents = torch.randn(1, 4, side, side, generator=generator())
    mirrored = latent_effects.mirrored(latents, axis)
    assert torch.equal(mirrored, mirrored.flip(axis))
    assert torch.equal(mirrored.narrow(axis, 0, side // 2), latents.narrow(axis, 0, side // 2))


@pytest.mark.parametrize("axes", [("x",), ("y",), ("x", "y")])
def test_seamless_networks_do_not_know_where_the_border_is(axes: tuple[str, ...]) -> None:
    """Latents rolled by a cell give the picture rolled by eight pixels, in the directions that tile."""
    vae = tiny.components()["vae"]
    latents = torch.randn(1, 4, 8, 8, generator=generator())
    shift, dims = (2,) * len(axes), tuple({"x": 3, "y": 2}[axis] for axis in axes)
    with torch.no_grad():
        plain = vae.decode(latents).sample
        with latent_effects.seamless((vae,), axes):
            picture = vae.decode(latents).sample
            rolled = vae.decode(latents.roll(shift, dims)).sample
        assert torch.allclose(rolled, picture.roll(tuple(8 * s for s in shift), dims), atol=1e-4)
        assert not torch.allclose(picture, plain, atol=1e-3)
        assert torch.equal(vae.decode(latents).sample, plain), "afterwards all is as before"


def test_every_effect_changes_the_picture_and_nothing_else(engine: DiffusionEngine, a_request: ARequest) -> None:
    plain = image_of(engine, a_request())
    asked = [
        {"perlin": 0.3},
        {"threshold": 0.5},
        {"h_symmetry_time_pct": 0.5},
        {"v_symmetry_time_pct": 0.0},
        {"seamless": True},
        {"seamless": True, "seamless_axes": ("x",)},
    ]
    pictures = [image_of(engine, a_request(**changes)) for changes in asked]
    assert len({plain, *pictures}) == len(asked) + 1
    assert image_of(engine, a_request(**asked[0])) == pictures[0]
    assert image_of(engine, a_request()) == plain


def test_two_passes_take_the_steps_of_both(engine: DiffusionEngine, a_request: ARequest) -> None:
    """The tiny model's own size is 64×64 here, so 128×128 begins at half the size."""
    large = a_request(width=128, height=128, steps=8, hires_fix=True, strength=0.5)
    assert calls(engine, large) == 8 + 4
    assert image_of(engine, large).width == 128
    assert image_of(engine, large) != image_of(engine, a_request(width=128, height=128, steps=8))


def test_a_second_pass_of_strength_0_only_enlarges(engine: DiffusionEngine, a_request: ARequest) -> None:
    request = a_request(width=128, height=128, steps=4, hires_fix=True, strength=0)
    assert calls(engine, request) == 4
    assert image_of(engine, request).width == 128


def test_colours_are_those_of_the_other_picture() -> None:
    """The means of L*, a* and b* are the reference's; a picture matched to itself stays."""
    drawn = np.random.default_rng(0)
    picture = drawn.integers(0, 120, (32, 32, 3), dtype=np.uint8)
    reference = drawn.integers(80, 256, (24, 24, 3), dtype=np.uint8)
    matched = colour_match.match(picture, reference)
    distance = np.abs(colour_match.to_lab(matched).mean((0, 1)) - colour_match.to_lab(reference).mean((0, 1)))
    assert distance.max() < 3
    assert np.abs(colour_match.match(picture, picture).astype(int) - picture).max() <= 1


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_lab_and_back(rgb: list[int]) -> None:
    picture = np.array([[rgb]], dtype=np.uint8)
    assert np.array_equal(colour_match.from_lab(colour_match.to_lab(picture)), picture)


def test_init_color_recolours_the_result(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 40, 40)).save(tmp_path / "red.png")
    recoloured = image_of(engine, a_request(init_color=tmp_path / "red.png"))
    pixels = np.frombuffer(recoloured.data, np.uint8).reshape(-1, 3)
    assert np.abs(pixels.mean(0) - (200, 40, 40)).max() < 4

"""Effects on latents between steps, on the networks' padding, and on the result's colours."""

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
from invoke.engine.sampling.schedules import NoiseLevel
from invoke.events import Step
from invoke.request import Request
from tests import tiny
from tests.engine.making import image_of
from tests.making import ARequest


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


LEVEL = NoiseLevel(signal=torch.tensor(1.0), sigma=torch.tensor(1.0))


def calls(engine: DiffusionEngine, request: Request) -> int:
    return max(event.index for event in engine.generate(request) if isinstance(event, Step))


@given(st.floats(0.1, 3), st.sampled_from([0.0, 0.05, 0.1, 0.19, 0.2, 0.5, 1.0]), st.integers(0, 99))
def test_latents_beyond_the_threshold_are_redrawn_below_it(limit: float, done: float, seed: int) -> None:
    """Exactly like InvokeAI 2.3, by a second implementation."""
    latents = 2 * torch.randn(1, 4, 8, 8, generator=generator(seed))
    held = latent_effects.thresholded(latents, limit, done, generator(seed + 1)).numpy()
    values = latents.numpy()
    wide = np.float32(limit * max(1, 6 - 25 * done))
    size = min(max(0.7 * float(np.abs(values).max()), 1), wide)
    drawn = np.float32(size) * torch.rand(latents.shape, generator=generator(seed + 1)).numpy()
    expected = np.where(np.abs(values) > wide, drawn * np.sign(values), values)
    assert held == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert (held * values >= 0).all(), "no sign changes"
    kept = np.abs(values) <= wide
    assert np.array_equal(held[kept], values[kept])


def test_a_threshold_that_nothing_exceeds_draws_no_noise() -> None:
    latents = torch.tensor([[[[-2.0, 0.5, 2.0]]]])
    drawing = generator()
    assert latent_effects.thresholded(latents, 2.0, 1.0, drawing).equal(latents), "2 is not beyond 2"
    assert torch.rand(3, generator=drawing).equal(torch.rand(3, generator=generator()))


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("side", [8, 9])
def test_symmetry_mirrors_the_first_half_onto_the_second(axis: int, side: int) -> None:
    latents = torch.randn(1, 4, side, side, generator=generator())
    values = latents.numpy()
    half = side // 2
    first, middle = np.split(values, [half, side - half], axis)[:2]
    expected = np.concatenate([first, middle, np.flip(first, axis)], axis)
    assert np.array_equal(latent_effects.mirrored(latents, axis).numpy(), expected)


@pytest.mark.parametrize("total", [1, 4, 10])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.25, 0.5, 0.51, 1.0])
@pytest.mark.parametrize("names", ["h", "v", "hv"])
def test_symmetries_are_applied_once_at_their_fraction_of_the_calls(
    names: str, share: float, total: int, a_request: ARequest
) -> None:
    """`h` puts the left half onto the right one, `v` the upper onto the lower, after the call that completes it."""
    apply = latent_effects.between_steps(a_request(**{f"{name}_symmetry_time_pct": share for name in names}), total)
    when = max(1, -int(-share * total // 1))
    for index in range(1, total + 1):
        latents = torch.randn(1, 4, 6, 8, generator=generator(index))
        expected = latents.clone()
        if index == when and "h" in names:
            expected[..., 4:] = expected[..., :4].flip(3)
        if index == when and "v" in names:
            expected[:, :, 3:] = expected[:, :, :3].flip(2)
        assert apply(latents, LEVEL, index).equal(expected), index


def test_threshold_noise_depends_on_the_seed_and_the_order_of_calls(a_request: ARequest) -> None:
    apply = latent_effects.between_steps(a_request(threshold=0.5, seed=7), 10)
    own = generator(7)
    for index in range(1, 11):
        latents = 4 * torch.randn(1, 4, 6, 8, generator=generator(index))
        assert apply(latents, LEVEL, index).equal(latent_effects.thresholded(latents, 0.5, index / 10, own))


def test_without_effects_latents_are_unchanged(a_request: ARequest) -> None:
    latents = 9 * torch.randn(1, 4, 6, 8, generator=generator())
    assert latent_effects.between_steps(a_request(), 2)(latents, LEVEL, 1) is latents


@pytest.mark.parametrize("axes", [("x",), ("y",), ("x", "y")])
@pytest.mark.parametrize("padding", [(1, 2), (0, 2), (1, 0)])
def test_seamless_convolutions_wrap_around_in_the_tiling_directions(
    padding: tuple[int, int], axes: tuple[str, ...]
) -> None:
    """Padded by numpy: what stands beyond an edge is the other edge where that way tiles, 0 elsewhere."""
    layer = torch.nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=padding, groups=2)
    picture = torch.randn(1, 4, 8, 9, generator=generator())
    (down, right), padded = padding, picture.numpy()
    for pad, axis in (((0, 0), (0, 0), (0, 0), (right, right)), "x"), (((0, 0), (0, 0), (down, down), (0, 0)), "y"):
        padded = np.pad(padded, pad, mode="wrap" if axis in axes else "constant")
    layer.requires_grad_(False)
    expected = torch.nn.functional.conv2d(torch.from_numpy(padded), layer.weight, layer.bias, stride=(2, 1), groups=2)
    plain = layer(picture)
    with latent_effects.seamless((layer,), axes):
        assert torch.allclose(layer(picture), expected, atol=1e-6)
    assert layer(picture).equal(plain)
    with pytest.raises(KeyError), latent_effects.seamless((layer,), axes):
        raise KeyError
    assert layer(picture).equal(plain), "also where it ends with an error"
    with latent_effects.seamless((layer,), ()):
        assert layer(picture).equal(plain)


@pytest.mark.parametrize("axes", [("x",), ("y",), ("x", "y")])
def test_rolling_the_latents_rolls_a_seamless_picture(axes: tuple[str, ...]) -> None:
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


def test_every_effect_changes_only_its_own_picture(engine: DiffusionEngine, a_request: ARequest) -> None:
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


def test_hires_fix_takes_the_steps_of_both_passes(engine: DiffusionEngine, a_request: ARequest) -> None:
    """The tiny model's own size is 64×64 here, so 128×128 begins at half the size."""
    large = a_request(width=128, height=128, steps=8, hires_fix=True, strength=0.5)
    assert calls(engine, large) == 8 + 4
    assert image_of(engine, large).width == 128
    assert image_of(engine, large) != image_of(engine, a_request(width=128, height=128, steps=8))


def test_hires_fix_at_strength_0_only_enlarges(engine: DiffusionEngine, a_request: ARequest) -> None:
    request = a_request(width=128, height=128, steps=4, hires_fix=True, strength=0)
    assert calls(engine, request) == 4
    assert image_of(engine, request).width == 128


def test_init_color_matches_the_mean_colour_of_the_reference() -> None:
    """The means of L*, a* and b* are the reference's; a picture matched to itself stays."""
    drawn = np.random.default_rng(0)
    picture = drawn.integers(0, 120, (32, 32, 3), dtype=np.uint8)
    reference = drawn.integers(80, 256, (24, 24, 3), dtype=np.uint8)
    matched = colour_match.match(picture, reference)
    distance = np.abs(colour_match.to_lab(matched).mean((0, 1)) - colour_match.to_lab(reference).mean((0, 1)))
    assert distance.max() < 3
    assert np.abs(colour_match.match(picture, picture).astype(int) - picture).max() <= 1


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_lab_conversion_is_reversible(rgb: list[int]) -> None:
    picture = np.array([[rgb]], dtype=np.uint8)
    assert np.array_equal(colour_match.from_lab(colour_match.to_lab(picture)), picture)


def test_init_color_recolours_the_result(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 40, 40)).save(tmp_path / "red.png")
    recoloured = image_of(engine, a_request(init_color=tmp_path / "red.png"))
    pixels = np.frombuffer(recoloured.data, np.uint8).reshape(-1, 3)
    assert np.abs(pixels.mean(0) - (200, 40, 40)).max() < 4

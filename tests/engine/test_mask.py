"""The ramp at a hole's rim, and fills under a hole."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invoke.engine.img2img.mask import cells, feather, fill, paste


def hole(rows: slice, columns: slice, side: int = 32, weight: float = 1.0) -> torch.Tensor:
    field = torch.zeros(side, side)
    field[rows, columns] = weight
    return field


def test_the_ramp_has_the_given_width_inside_the_hole() -> None:
    ramp = feather(hole(slice(4, 28), slice(4, 28)), 4)
    assert ramp[16, :9].tolist() == [0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1]


def test_thin_holes_are_fully_repainted_in_the_middle() -> None:
    ramp = feather(hole(slice(0, 32), slice(10, 13)), 8)
    assert ramp[16, 9:14].tolist() == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert feather(hole(slice(5, 6), slice(5, 6)), 8)[5, 5] == 1


def test_there_is_no_ramp_at_the_edge_of_the_picture() -> None:
    ramp = feather(hole(slice(0, 32), slice(20, 32)), 4)
    assert ramp[16, 19:].tolist() == pytest.approx([0, 0.25, 0.5, 0.75] + [1] * 9)
    assert feather(torch.ones(32, 32), 8).min() == 1


def test_the_ramp_never_exceeds_partial_weights() -> None:
    half = hole(slice(4, 28), slice(4, 28), weight=0.5)
    ramp = feather(half, 4)
    assert ramp[16, 16] == 0.5
    assert (ramp <= half).all()


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 20))
def test_the_ramp_lies_inside_any_hole(seed: int, blur: int) -> None:
    field = torch.rand(20, 24, generator=torch.Generator().manual_seed(seed))
    field = field * (field > 0.6)
    ramp = feather(field, blur)
    assert (ramp <= field).all()
    assert (ramp >= 0).all()
    assert bool(ramp.any()) == bool(field.any())


def test_a_latent_cell_is_masked_if_any_of_its_pixels_is() -> None:
    assert cells(hole(slice(7, 9), slice(0, 1)), 8)[0, 0].tolist() == [
        [1, 0, 0, 0],
        [1, 0, 0, 0],
        [0] * 4,
        [0] * 4,
    ]


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_the_ramp_equals_the_mean_of_erosions(seed: int, blur: int) -> None:
    """By a second implementation, a pixel at a time."""
    field = np.random.default_rng(seed).random((12, 10)).astype(np.float32)
    field *= field > 0.4
    assert feather(torch.from_numpy(field), blur).numpy() == pytest.approx(_feathered(field, blur), abs=1e-5)


def _feathered(field: np.ndarray, blur: int) -> np.ndarray:
    if blur < 2:
        return field
    ramp = sum(_over(field, k, np.min, np.inf) / blur for k in range(blur) if _over(field, k, np.min, np.inf).any())
    if isinstance(ramp, int):
        return field
    return np.minimum(ramp / np.maximum(_over(ramp, blur, np.max, -np.inf), 1e-6), field)


def _over(field: np.ndarray, radius: int, choose: Callable[..., float], outside: float) -> np.ndarray:
    """`choose` of the square around each pixel; beyond the edge there is nothing."""
    padded, side = np.pad(field, radius, constant_values=outside), 2 * radius + 1
    squares = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return choose(squares, axis=(2, 3))


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_paste_mixes_by_weight(seed: int) -> None:
    draw = np.random.default_rng(seed)
    old, new = draw.integers(0, 256, (2, 6, 7, 3)).astype(np.uint8)
    weight = draw.choice([0.0, 0.25, 0.5, 1.0], (6, 7)).astype(np.float32)
    made = paste(*map(torch.from_numpy, (new, old, weight))).numpy()
    assert np.array_equal(made, np.rint(old + (new.astype(np.float32) - old) * weight[..., None]))


@pytest.mark.parametrize("size", [(32, 32), (33, 17), (8, 96)])
@pytest.mark.parametrize("infill", ["blur", "noise", "solid"])
def test_fill_changes_only_the_hole(size: tuple[int, int], infill: str) -> None:
    picture = torch.full((*size, 3), 0.6)
    cut = torch.zeros(size)
    cut[2:6, 3:12] = 1
    picture[cut == 1] = 0.0
    filled = fill(picture, cut, infill, seed=1)  # type: ignore[arg-type]
    assert filled[cut == 0].equal(picture[cut == 0])
    assert torch.allclose(filled[cut == 1], torch.tensor(0.6), atol=1e-5)


def _ramp(side: int = 16) -> torch.Tensor:
    """A picture in which no two pixels are equal."""
    return (torch.arange(side * side * 3).reshape(side, side, 3) / (side * side * 3)).float()


@pytest.mark.parametrize("infill", ["keep", "blur", "noise", "solid"])
def test_fill_keeps_partially_masked_pixels(infill: str) -> None:
    """Only completely masked pixels are filled; the others are kept bit for bit."""
    picture = _ramp()
    cut = hole(slice(4, 12), slice(4, 12), side=16)
    cut[4:12, 4] = 0.5
    filled = fill(picture, cut, infill, seed=3)  # type: ignore[arg-type]
    assert filled[cut < 1].equal(picture[cut < 1])
    assert not filled[cut == 1].equal(picture[cut == 1])


def test_solid_fills_with_the_weighted_mean_of_the_visible_part() -> None:
    picture, cut = _ramp(), hole(slice(4, 12), slice(4, 12), side=16)
    cut[0:4] = 0.75
    mean = np.average(picture.numpy().reshape(-1, 3), axis=0, weights=(1 - cut.numpy()).ravel())
    assert fill(picture, cut, "solid", seed=0)[cut == 1].numpy() == pytest.approx(np.tile(mean, (64, 1)), abs=1e-5)


@pytest.mark.parametrize("seed", [0, 7])
def test_noise_fill_has_the_visible_mean_and_deviation_and_uses_the_seed(seed: int) -> None:
    picture, cut = _ramp(), hole(slice(4, 12), slice(4, 12), side=16)
    cut[0:4] = 0.75
    values, shown = picture.numpy().reshape(-1, 3).astype(float), (1 - cut.numpy()).ravel()
    mean = np.average(values, axis=0, weights=shown)
    spread = np.average((values - mean) ** 2, axis=0, weights=shown) ** 0.5
    drawn = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed)).numpy()
    expected = np.clip(mean + spread * drawn, 0, 1)[cut.numpy() == 1]
    assert fill(picture, cut, "noise", seed)[cut == 1].numpy() == pytest.approx(expected, abs=1e-5)


def test_keep_fills_erased_colours_like_blur() -> None:
    picture, cut = _ramp(), hole(slice(4, 12), slice(4, 12), side=16)
    assert fill(picture, cut, "keep", 0).equal(fill(picture, cut, "blur", 0))


def test_blur_fill_equals_push_pull() -> None:
    """On one row: the coarser levels are means of what shows, spread out again between their middles."""
    picture = torch.tensor([0.0, 0.0, 0.0, 0.8])[None, :, None].expand(1, 4, 3).clone()
    cut = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    assert fill(picture, cut, "blur", 0)[0, :, 0].tolist() == pytest.approx(
        _pulled([0, 0, 0, 0.8], [1, 0, 0, 1]), abs=1e-6
    )


def _pulled(colour: list[float], weight: list[float]) -> list[float]:
    """`colour`, multiplied by its weight, with its gaps closed: push and pull in one dimension."""
    if len(colour) == 1:
        return [colour[0] / weight[0]]
    half = [sum(colour[k : k + 2]) / 2 for k in range(0, len(colour), 2)]
    coarse = _pulled(half, [sum(weight[k : k + 2]) / 2 for k in range(0, len(weight), 2)])
    places = (np.arange(len(colour)) + 0.5) / 2 - 0.5
    smooth = np.interp(places, range(len(coarse)), coarse)
    return [c + s * (1 - w) for c, s, w in zip(colour, smooth, weight, strict=True)]


def test_blur_fills_from_the_nearest_rim() -> None:
    picture = torch.linspace(0, 1, 64)[None, :, None].expand(64, 64, 3).clone()
    cut = hole(slice(16, 48), slice(16, 48), side=64)
    filled = fill(picture * (1 - cut[..., None]), cut, "blur", seed=0)
    assert (filled - picture).abs().max() < 0.15
    assert filled[32, 18, 0] < filled[32, 45, 0]


def test_a_completely_masked_picture_is_filled_with_grey() -> None:
    picture = torch.rand(8, 8, 3)
    assert fill(picture, torch.ones(8, 8), "blur", 0).equal(torch.full((8, 8, 3), 0.5))
    assert fill(picture, torch.zeros(8, 8), "blur", 0).equal(picture)

"""The ramp at a hole's rim, and what is put under it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invoke.engine.img2img.mask import cells, feather, fill, paste


def hole(rows: slice, columns: slice, side: int = 32, weight: float = 1.0) -> torch.Tensor:
    field = torch.zeros(side, side)
    field[rows, columns] = weight
    return field


def test_the_ramp_is_as_wide_as_asked_and_inside() -> None:
    ramp = feather(hole(slice(4, 28), slice(4, 28)), 4)
    assert ramp[16, :9].tolist() == [0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1]


def test_thin_holes_are_repainted_in_their_middle() -> None:
    ramp = feather(hole(slice(0, 32), slice(10, 13)), 8)
    assert ramp[16, 9:14].tolist() == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert feather(hole(slice(5, 6), slice(5, 6)), 8)[5, 5] == 1


def test_the_pictures_edge_is_no_rim() -> None:
    ramp = feather(hole(slice(0, 32), slice(20, 32)), 4)
    assert ramp[16, 19:].tolist() == pytest.approx([0, 0.25, 0.5, 0.75] + [1] * 9)
    assert feather(torch.ones(32, 32), 8).min() == 1


def test_partial_weights_are_never_exceeded() -> None:
    half = hole(slice(4, 28), slice(4, 28), weight=0.5)
    ramp = feather(half, 4)
    assert ramp[16, 16] == 0.5
    assert (ramp <= half).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 20))
def test_whatever_the_hole_the_ramp_lies_within_it(seed: int, blur: int) -> None:
    field = torch.rand(20, 24, generator=torch.Generator().manual_seed(seed))
    field = field * (field > 0.6)
    ramp = feather(field, blur)
    assert (ramp <= field).all()
    assert (ramp >= 0).all()
    assert bool(ramp.any()) == bool(field.any())


def test_cells_are_open_where_any_pixel_is() -> None:
    assert cells(hole(slice(7, 9), slice(0, 1)), 8)[0, 0].tolist() == [
        [1, 0, 0, 0],
        [1, 0, 0, 0],
        [0] * 4,
        [0] * 4,
    ]


def test_pasting_with_weight_0_keeps_the_bytes() -> None:
    old, new = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    weight = hole(slice(8, 24), slice(8, 24))
    made = paste(new, old, weight)
    assert made[weight == 0].equal(old[weight == 0])
    assert made[weight == 1].equal(new[weight == 1])


@pytest.mark.parametrize("size", [(32, 32), (33, 17), (8, 96)])
@pytest.mark.parametrize("infill", ["blur", "noise", "solid"])
def test_fills_cover_the_hole_and_nothing_else(size: tuple[int, int], infill: str) -> None:
    picture = torch.full((*size, 3), 0.6)
    cut = torch.zeros(size)
    cut[2:6, 3:12] = 1
    picture[cut == 1] = 0.0
    filled = fill(picture, cut, infill, seed=1)  # type: ignore[arg-type]
    assert filled[cut == 0].equal(picture[cut == 0])
    assert torch.allclose(filled[cut == 1], torch.tensor(0.6), atol=1e-5)


def test_blur_fills_from_the_rim_that_is_nearest() -> None:
    picture = torch.linspace(0, 1, 64)[None, :, None].expand(64, 64, 3).clone()
    cut = hole(slice(16, 48), slice(16, 48), side=64)
    filled = fill(picture * (1 - cut[..., None]), cut, "blur", seed=0)
    assert (filled - picture).abs().max() < 0.15
    assert filled[32, 18, 0] < filled[32, 45, 0]


def test_where_all_is_covered_nothing_comes_through() -> None:
    picture = torch.rand(8, 8, 3)
    assert fill(picture, torch.ones(8, 8), "blur", 0).equal(torch.full((8, 8, 3), 0.5))
    assert fill(picture, torch.zeros(8, 8), "blur", 0).equal(picture)

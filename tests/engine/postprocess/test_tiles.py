"""Tiles cover a plane and can be put together again."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from invoke.engine.components.tiles import Blend, in_tiles, padded
from invoke.images.geometry import overlap_of, tiles

lengths = st.integers(1, 200)
sides = st.integers(20, 60)
overlaps = st.integers(1, 19)


@given(lengths, lengths, sides, overlaps)
def test_tiles_cover_everything_and_neighbours_share_enough(height: int, width: int, side: int, overlap: int) -> None:
    found = tiles(height, width, side=side, overlap=overlap)
    for length, spans in (
        (height, {(r.start, r.stop) for r, _ in found}),
        (width, {(c.start, c.stop) for _, c in found}),
    ):
        ordered = sorted(spans)
        assert ordered[0][0] == 0
        assert ordered[-1][1] == length
        assert all(stop - start == min(side, length) for start, stop in ordered)
        assert all(before[1] - after[0] >= overlap for before, after in pairwise(ordered))
    assert len(found) == 1 or max(height, width) > side


@given(lengths, lengths, sides, overlaps, st.integers(1, 3))
def test_a_pixelwise_function_gives_the_same_in_tiles(
    height: int, width: int, side: int, overlap: int, scale: int
) -> None:
    plane = torch.arange(height * width, dtype=torch.float32).reshape(1, 1, height, width) / (height * width)

    def enlarged(part: torch.Tensor) -> torch.Tensor:
        return (3 * part).repeat_interleave(scale, 2).repeat_interleave(scale, 3)

    whole = in_tiles(enlarged, plane, side=side, overlap=overlap, scale=scale)
    assert torch.allclose(whole, enlarged(plane), atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "side", "pixels"),
    [(0, 512, 0), (0.25, 512, 128), (0.999, 512, 256), (0.3, 64, 19), (1, 64, 1), (64, 512, 64), (400, 513, 256)],
)
def test_an_overlap_is_a_share_or_pixels_and_at_most_half_a_tile(asked: float, side: int, pixels: int) -> None:
    assert overlap_of(asked, side) == pixels


def test_tiles_are_blended_over_their_overlap() -> None:
    left, right = tiles(8, 28, side=16, overlap=4)
    blend = Blend(8, 28, overlap=4)
    blend.add(left, torch.zeros(1, 1, 8, 16))
    blend.add(right, torch.ones(1, 1, 8, 16))
    row = blend.result()[0, 0, 3]
    assert row[:12].tolist() == [0] * 12
    assert row[12:16].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert row[16:].tolist() == [1] * 12


def test_planes_are_padded_by_repeating_the_edge() -> None:
    assert padded(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 2).tolist() == [[[[1, 2, 3, 3], [1, 2, 3, 3]]]]

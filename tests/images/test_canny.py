"""The edge detector on known shapes, and compared with a plain implementation pixel by pixel."""

from math import hypot

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from invoke.images.canny import HIGH, LOW, canny
from tests.engine.making import Array, disc

small = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def grey(levels: Array) -> Array:
    return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, axis=2)


@given(small)
def test_edges_equal_a_plain_implementation_of_canny(picture: Array) -> None:
    assert np.array_equal(canny(picture), _as_defined(picture))


@given(small)
def test_a_negative_has_the_same_edges(picture: Array) -> None:
    assert np.array_equal(canny(picture), canny(255 - picture))


@given(st.integers(0, 255), st.integers(1, 9), st.integers(1, 9))
def test_a_flat_picture_has_no_edge(level: int, width: int, height: int) -> None:
    assert not canny(grey(np.full((height, width), level))).any()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_step_gives_one_straight_edge(turns: int) -> None:
    levels = np.rot90(np.where(np.arange(40) < 23, 40, 180)[None].repeat(30, 0), turns)
    edges = np.rot90(canny(grey(levels)), -turns)
    columns = set(np.flatnonzero(edges.any(axis=0)))
    assert columns in ({22}, {23})
    assert edges[:, [*columns]].all()


def test_a_disc_gives_one_closed_thin_edge() -> None:
    edges = canny(grey(disc(96, 96, 30) * 200)) > 0
    rows, columns = np.nonzero(edges)
    away = np.hypot(rows - 48, columns - 48)
    assert abs(away - 30).max() < 1.5
    directions = np.sort(np.arctan2(rows - 48, columns - 48))
    assert np.diff(directions, append=directions[0] + 2 * np.pi).max() < 0.1, "no gap of more than three pixels"
    assert len(rows) < 2 * np.pi * 30 * 1.2, "one pixel wide"


def test_faint_texture_has_no_edges() -> None:
    noise = np.random.default_rng(0).integers(110, 140, (64, 64))
    assert not canny(grey(noise)).any()


def test_a_faint_edge_is_kept_if_connected_to_a_strong_one() -> None:
    """A step of 45 levels is between the thresholds: an edge if connected to a strong one, otherwise not."""
    right = np.arange(40) >= 20
    fading = 20 + np.linspace(150, 45, 40)[:, None] * right
    alone = 20 + np.full((40, 1), 45) * right
    assert canny(grey(fading))[:, 18:22].any(axis=1).all()
    assert not canny(grey(alone)).any()


def test_colours_of_equal_brightness_have_an_edge() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, :10, 0], picture[:, 10:, 1] = 200, 200
    assert canny(picture).any()


def _as_defined(picture: Array) -> Array:
    """A plain loop over pixels."""
    height, width, _ = picture.shape

    def at(field: Array, y: int, x: int) -> int:
        return int(field[min(max(y, 0), height - 1), min(max(x, 0), width - 1)])

    def convolved(field: Array, weights: list[list[int]]) -> Array:
        reach = len(weights) // 2
        found = np.zeros((height, width), np.int64)
        for y in range(height):
            for x in range(width):
                found[y, x] = sum(
                    weight * at(field, y + dy - reach, x + dx - reach)
                    for dy, row in enumerate(weights)
                    for dx, weight in enumerate(row)
                )
        return found

    gauss = [[a * b for b in (1, 4, 6, 4, 1)] for a in (1, 4, 6, 4, 1)]
    across, down = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    slopes: dict[tuple[int, int], tuple[int, int]] = {}
    for channel in range(3):
        smooth = convolved(picture[..., channel], gauss)
        sideways, downward = convolved(smooth, across), convolved(smooth, down)
        for y in range(height):
            for x in range(width):
                new = int(sideways[y, x]), int(downward[y, x])
                old = slopes.get((y, x), (0, 0))
                if new[0] ** 2 + new[1] ** 2 > old[0] ** 2 + old[1] ** 2:
                    slopes[y, x] = new

    def steep(y: int, x: int) -> int:
        right, below = slopes.get((y, x), (0, 0))
        return right**2 + below**2

    ridge = set()
    for (y, x), (right, below) in slopes.items():
        degrees = np.degrees(np.arctan2(below, right)) % 180
        dy, dx = [(0, 1), (1, 1), (1, 0), (1, -1), (0, 1)][int((degrees + 22.5) // 45)]
        if steep(y, x) > steep(y + dy, x + dx) and steep(y, x) >= steep(y - dy, x - dx):
            ridge.add((y, x))
    found = {place for place in ridge if hypot(*slopes[place]) > HIGH * 256}
    newest = found
    while newest:
        near = {(y + dy, x + dx) for y, x in newest for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
        newest = {place for place in near & ridge - found if hypot(*slopes[place]) > LOW * 256}
        found |= newest
    edges = np.zeros((height, width), np.uint8)
    for place in found:
        edges[place] = 255
    return edges

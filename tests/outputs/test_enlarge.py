"""A step's picture at the size of the result."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from invoke.events import Pixels
from invoke.outputs.sheets import enlarged

SIDES = st.integers(1, 70)


@given(width=SIDES, height=SIDES, size=st.tuples(SIDES, SIDES), seed=st.integers(0, 9))
def test_enlarging_gives_any_size_within_the_range_of_colours(
    width: int, height: int, size: tuple[int, int], seed: int
) -> None:
    rows = np.random.default_rng(seed).integers(60, 200, (height, width, 3)).astype(np.uint8)
    made = enlarged(Pixels(width, height, rows.tobytes()), size)
    assert (made.width, made.height) == size
    shown = np.frombuffer(made.data, np.uint8).reshape(*reversed(size), 3)
    assert (shown >= rows.min((0, 1))).all()
    assert (shown <= rows.max((0, 1))).all()


@given(width=SIDES, height=SIDES)
def test_a_picture_of_the_wanted_size_is_unchanged(width: int, height: int) -> None:
    pixels = Pixels(width, height, bytes(3 * width * height))
    assert enlarged(pixels, (width, height)) is pixels


def test_enlarging_is_smooth() -> None:
    """A ramp of 8 steps becomes one of many, not 8 stripes."""
    ramp = np.tile(np.arange(0, 256, 32, dtype=np.uint8)[:, None], (8, 1, 3))
    made = enlarged(Pixels(8, 8, ramp.tobytes()), (64, 64))
    assert len(set(made.data[: 3 * 64 : 3])) > 24

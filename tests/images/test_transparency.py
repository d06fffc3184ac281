"""The summary of a picture's alpha channel, for any number of bands of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from invoke.images.transparency import OPAQUE, _Predicted, summarise


def bands(colours: np.ndarray, alpha: np.ndarray, rows: int) -> list[tuple[Image.Image, Image.Image | None]]:
    return [
        (Image.fromarray(colours[at : at + rows]), Image.fromarray(alpha[at : at + rows]))
        for at in range(0, len(colours), rows)
    ]


@pytest.mark.parametrize("rows", [1, 3, 16])
@pytest.mark.parametrize(
    ("alpha", "changes", "is_blank"),
    [(0, False, True), (0, True, False), (255, False, False), (128, False, False)],
)
def test_an_area_is_erased_if_transparent_and_of_one_colour(
    rows: int, alpha: int, changes: bool, is_blank: bool
) -> None:
    """A picture whose colours are still present under its alpha is not blank."""
    colours = np.full((16, 16, 3), 90, np.uint8)
    colours[:, 8:] += 100 * changes
    assert summarise(bands(colours, np.full((16, 16), alpha, np.uint8), rows)).is_blank is is_blank


@given(st.integers(1, 16), st.integers(0, 2**32 - 1))
def test_the_summary_is_independent_of_the_number_of_bands(rows: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    colours = draw.integers(0, 256, (16, 8, 3), np.uint8)
    alpha = draw.choice(np.array([0, 0, 128, 255, 255], np.uint8), (16, 8))
    assert summarise(bands(colours, alpha, rows)) == summarise(bands(colours, alpha, 16))


@given(st.integers(0, 128), st.integers(0, 255))
def test_the_share_is_the_mean_transparency_above_a_threshold(count: int, level: int) -> None:
    alpha = np.full(128, 255, np.uint8)
    alpha[:count] = level
    found = summarise(bands(np.zeros((16, 8, 3), np.uint8), alpha.reshape(16, 8), 4))
    transparency = 0 if level >= OPAQUE else 255 - level
    assert found.share == pytest.approx(count * transparency / 255 / 128)


@pytest.mark.parametrize("is_premultiplied", [True, False])
def test_soft_pixels_far_from_all_that_is_opaque_say_nothing(is_premultiplied: bool) -> None:
    """Only at the rim of what is opaque can it be told whether colours are multiplied by their alpha."""
    alpha = np.zeros((32, 64))
    alpha[:, :20], alpha[:, 20:24], alpha[12:20, 50:58] = 1, 0.5, 0.5
    colours = np.full((32, 64, 3), (110, 80, 60)) * (alpha[..., None] if is_premultiplied else 1)
    found = summarise(bands(colours.astype(np.uint8), (alpha * 255).astype(np.uint8), 32))
    assert found.is_premultiplied is is_premultiplied


@pytest.mark.parametrize("is_smeared", [True, False])
def test_only_transparent_pixels_are_compared_with_what_webp_predicts(is_smeared: bool) -> None:
    """The left half is transparent; either half is flat (predicted everywhere) and the other one noise."""
    colours = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    colours[:, :8] = np.where(is_smeared, 90, colours[:, :8])
    colours[:, 8:] = np.where(is_smeared, colours[:, 8:], 90)
    alpha = np.full((16, 16), 255, np.uint8)
    alpha[:, :8] = 0
    predicted = _Predicted()
    predicted.add(Image.fromarray(colours), Image.fromarray(alpha))
    assert predicted.is_most is is_smeared

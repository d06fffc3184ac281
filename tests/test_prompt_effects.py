"""The effect of prompt syntax on pictures of the built-in model."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from invoke.models import PACKAGE
from tests.studio import Array, Studio


@pytest.fixture(scope="module")
def pocket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = Studio(PACKAGE / "pocket", tmp_path_factory.mktemp("outputs"), {"steps": 6, "cfg_scale": 5.0})
    with closing(studio.session.engine):
        yield studio


def brightness(pocket: Studio, prompt: str) -> float:
    """The mean of two pictures, 0..255."""
    return float(np.mean([pocket.make(f"{prompt} -S {seed}").pixels.mean() for seed in (1, 2)]))


def test_a_low_weight_removes_a_word_from_the_picture(pocket: Studio) -> None:
    weights = (0.1, 0.5, 1)
    made = [brightness(pocket, f"a house on a hill at (night){weight}, painting") for weight in weights]
    assert made == sorted(made, reverse=True)
    assert made[0] - made[-1] > 20, "without the night it is day"


def test_a_high_weight_makes_a_word_dominate(pocket: Studio) -> None:
    made = [brightness(pocket, f"a house on a hill at night, (sunny day){weight}, painting") for weight in (1, 3)]
    assert made[0] < made[1]


def test_a_blend_moves_from_one_text_to_the_other_with_its_weights(pocket: Studio) -> None:
    night, day = "a house on a hill at night, painting", "a house on a hill, sunny day, painting"
    one, *made, other = (brightness(pocket, f'("{night}", "{day}").blend({1 - w}, {w})') for w in (0, 0.4, 0.7, 1))
    assert one < made[0] < made[1] < other
    assert one == brightness(pocket, night)


def test_both_texts_of_a_conjunction_are_drawn(pocket: Studio) -> None:
    night, day = (
        brightness(pocket, f'("a house on a hill, painting", "{sky}").and()') for sky in ("night", "sunny day")
    )
    assert day - night > 20


def test_the_end_of_a_long_prompt_affects_the_picture(pocket: Studio) -> None:
    long = "a house on a hill with a river and a tree, painting, " * 8
    assert brightness(pocket, f"{long} sunny day") - brightness(pocket, f"{long} at night") > 20


@pytest.mark.parametrize(
    ("prompt", "before", "after"),
    [("a {} on the beach, painting", "palm", "boat"), ("a house on a hill, {}", "painting", "sketch")],
)
def test_a_swap_keeps_the_composition(pocket: Studio, prompt: str, before: str, after: str) -> None:
    original, edited, swapped = (
        pocket.make(f"{prompt.format(words)} -S 1").pixels for words in (before, after, f"{before}.swap({after})")
    )
    assert distance(original, swapped) < 0.8 * distance(original, edited), "the picture stays"
    assert distance(edited, swapped) < distance(edited, original), "the words are drawn"


def test_a_canonical_line_keeps_the_prompt_syntax(pocket: Studio, tmp_path: Path) -> None:
    line = f'("a house++ at (night)0.5", "a tree.").blend(.7,.3) [grey-- ] -S 3 -s 2 -o {tmp_path}'
    made = pocket.make(line)
    assert made.line.startswith('("a house++ at (night)0.5", "a tree.").blend(.7,.3) [grey-- ] -s 2')
    assert np.array_equal(pocket.make(f"{made.line} -o {tmp_path}").pixels, made.pixels)


def distance(one: Array, other: Array) -> float:
    return float(np.abs(one.astype(float) - other).mean())

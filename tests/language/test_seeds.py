"""Random seeds of a line: all of them can be drawn, and planning it again draws the same ones."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.language.seeds import Seeds, random_seed
from invoke.request import LARGEST_SEED

seeds = st.lists(st.integers(0, LARGEST_SEED), max_size=5)


def test_every_seed_can_be_drawn_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for draw, seed in ((lambda n: 0, 0), (lambda n: n - 1, 2**32 - 1)):
        monkeypatch.setattr(secrets, "randbelow", draw)
        assert random_seed() == seed


@given(seeds, seeds)
def test_earlier_seeds_come_first_and_again_draws_the_same(earlier: list[int], fresh: list[int]) -> None:
    drawn = Seeds(earlier, iter(fresh).__next__)
    expected = [*earlier, *fresh]
    assert [drawn() for _ in expected] == expected == drawn.drawn
    again = drawn.again()
    assert again.drawn == []
    assert [again() for _ in expected] == expected == again.drawn

"""Drawing scenes: the same seed gives the same picture, at any size, for every subject."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.backdrop import GROUNDS
from training.captions import caption
from training.dataset import held_out, scenes_of
from training.scenes import Scene, draw, random_scene
from training.sky import SKIES
from training.styles import EXTRA_STYLES, STYLES
from training.subjects import COLOURS, PAINTED, SUBJECTS


def test_there_are_enough_subjects_grounds_and_skies() -> None:
    assert len(SUBJECTS) >= 16
    assert len(GROUNDS) >= 7
    assert len(SKIES) == 6
    assert len(STYLES) == 6


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), width=st.integers(48, 160), height=st.integers(48, 160))
def test_the_same_seed_draws_the_same_picture_at_any_size(seed: int, width: int, height: int) -> None:
    scene = random_scene(Random(seed))
    first, second = draw(scene, width=width, height=height), draw(scene, width=width, height=height)
    assert first.size == (width, height)
    assert first.mode == "RGB"
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_subject_is_visible(subject: str) -> None:
    scene = Scene(subject, "field", "day", "poster", seed=4, colour=PAINTED.get(subject, ("",))[0])
    bare = Scene("none", "field", "day", "poster", seed=4)
    changed = (
        np.abs(
            np.asarray(draw(scene, width=96, height=96), dtype=int)
            - np.asarray(draw(bare, width=96, height=96), dtype=int)
        ).max(axis=2)
        > 30
    )
    assert changed.mean() == 0 if subject == "none" else changed.mean() > 0.04


@pytest.mark.parametrize("style", [*STYLES, *EXTRA_STYLES])
def test_every_style_looks_different(style: str) -> None:
    scenes = {name: Scene("tree", "hill", "sunset", name, seed=4, river=True) for name in (*STYLES, *EXTRA_STYLES)}
    mine = np.asarray(draw(scenes[style], width=96, height=96), dtype=float)
    others = [
        np.asarray(draw(scene, width=96, height=96), dtype=float) for name, scene in scenes.items() if name != style
    ]
    assert all(np.abs(mine - other).mean() > 6 for other in others)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("sky", SKIES)
def test_every_ground_combines_with_every_sky(ground: str, sky: str) -> None:
    picture = np.asarray(draw(Scene("none", ground, sky, "photograph", seed=1, river=True), width=64, height=48))
    assert picture.shape == (48, 64, 3)
    assert picture.std() > 5


def test_captions_vary_down_to_a_single_word() -> None:
    rng = Random(3)
    fire = Scene("fire", "field", "day", "photograph", seed=1)
    output = {caption(fire, rng) for _ in range(400)}
    assert "fire" in output
    assert len(output) > 200
    assert any(words.startswith("photo of") for words in output)
    assert any(words.endswith("photograph") for words in output)


def test_held_out_combinations_are_not_trained_on() -> None:
    assert not any(held_out(scene) for scene in scenes_of(0, 200))
    assert all(held_out(scene) for scene in scenes_of(0, 50, held=True))


def test_painted_subjects_have_known_colours() -> None:
    assert all(colour in COLOURS for colours in PAINTED.values() for colour in colours)

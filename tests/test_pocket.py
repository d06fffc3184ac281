"""The built-in model follows prompts, strengths and holes."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from invoke.images import open_picture, prepare
from invoke.models import PACKAGE
from tests import tiny
from tests.line_contexts import PICTURES
from tests.studio import Array, Studio

FIRE = f"-I {PICTURES / 'fire-drawing.png'} -W 256 -H 256"


@pytest.fixture(scope="module")
def pocket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = Studio(PACKAGE / "pocket", tmp_path_factory.mktemp("outputs"), {"steps": 12, "cfg_scale": 5.0})
    with closing(studio.session.engine):
        yield studio


def warmth(pixels: Array) -> float:
    """How much redder than blue the middle of a picture is, 0..255."""
    middle = pixels[64:192, 64:192].astype(float)
    return float((middle[..., 0] - middle[..., 2]).mean())


def distance(one: Array, other: Array) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_plain_diffusers_loads_and_runs_pocket(pocket: Studio) -> None:
    """Without naming a dtype."""
    pipeline = tiny.quiet(DiffusionPipeline.from_pretrained(str(PACKAGE / "pocket")))
    options = {"width": 64, "height": 64, "guidance_scale": 5.0, "num_inference_steps": 3}
    drawn = pipeline("a house", **options, generator=torch.Generator().manual_seed(4)).images[0]
    ours = pocket.make("a house -W 64 -H 64 -s 3 -S 4 -A ddim").pixels
    assert np.abs(ours.astype(int) - np.asarray(drawn)).max() <= 1


def test_a_higher_strength_keeps_less_of_the_original(pocket: Studio) -> None:
    original = np.asarray(prepare(open_picture(PICTURES / "fire-drawing.png").image, 256, 256))
    prompt = '"a house in a field at night, painting"'
    left = [distance(pocket.make(f"{prompt} {FIRE} -S 3 -f {f}").pixels, original) for f in (0.1, 0.4, 0.7, 1)]
    assert left == sorted(left)


def test_a_fire_is_warmer_than_the_sea(pocket: Studio) -> None:
    fire = [warmth(pocket.make(f"fire -S {seed}").pixels) for seed in (1, 2, 3)]
    sea = [warmth(pocket.make(f"a boat on the sea, photograph -S {seed}").pixels) for seed in (1, 2, 3)]
    assert min(fire) > max(sea)


def test_night_is_darker_than_day(pocket: Studio) -> None:
    night, day = (
        np.mean([pocket.make(f"{line} -S {seed}").pixels.mean() for seed in (1, 2, 3)])
        for line in ("a tree on a hill at night, painting", "a tree on a hill, sunny day, painting")
    )
    assert night < day


def test_only_the_hole_is_repainted(pocket: Studio) -> None:
    made = pocket.make(f"a tree, photograph -I {PICTURES / 'photo-with-hole.png'} -W 256 -H 192 -f 1 -S 11")
    picture = open_picture(PICTURES / "photo-with-hole.png")
    assert picture.alpha is not None
    opaque = np.asarray(prepare(picture.alpha, 256, 192)) == 255
    original = np.asarray(prepare(picture.image, 256, 192, picture.alpha))
    assert np.array_equal(made.pixels[opaque], original[opaque])
    hole = made.pixels[~opaque].astype(float)
    assert hole[:, 1].mean() > hole[:, 2].mean(), "a tree is greener than it is blue"


def test_the_readme_example_is_reproducible(pocket: Studio, tmp_path: Path) -> None:
    line = f'"fire" -s10 -S1592514025 {FIRE} --strength 0.7 -o {tmp_path} --save_intermediates 1'
    first, second = pocket.make(line), pocket.make(line)
    assert [Path(made.path).name for made in (first, second)] == ["000001.1592514025.png", "000002.1592514025.png"]
    assert np.array_equal(first.pixels, second.pixels)
    assert first.calls == 7
    assert len(list((tmp_path / "intermediates" / "000001.1592514025").iterdir())) == 8

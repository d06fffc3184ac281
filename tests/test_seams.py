"""The step across a rim is at most twice the picture's own gradient; benchmarks/seams.py has twenty cases."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.seams import Draw, step_across
from invoke.engine.img2img import seam
from invoke.engine.img2img.seam import without_seam

SMALL = "-s 6 -C 5 -A ddim -W 128 -H 128"


@pytest.fixture(scope="module")
def draw() -> Draw:
    return Draw()


@pytest.fixture(scope="module")
def base(draw: Draw) -> np.ndarray:
    return draw(f"a house on a hill, painting -S 1 {SMALL}")


@pytest.mark.parametrize("how", ["-f 0.9", "-f 1", "--infill blur -f 0.5"])
def test_the_edge_of_an_outcrop_is_no_steeper_than_the_picture(
    how: str, draw: Draw, base: np.ndarray, tmp_path: Path
) -> None:
    """M2: a grey band of 6 to 8 pixels, a step of 9 levels."""
    Image.fromarray(base).save(tmp_path / "a.png")
    made = draw(f"a house on a hill, painting -I {tmp_path / 'a.png'} -c left 64 -S 3 -s 6 -C 5 -A ddim {how}")
    assert np.array_equal(made[:, 64:], base)
    assert step_across(made, np.tile(np.arange(192) < 64, (128, 1))) <= 2


@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("how", ["-f 0.9", "-f 1"])
def test_the_rim_of_an_erased_hole_is_no_steeper_than_the_picture(
    colour: int, how: str, draw: Draw, base: np.ndarray, tmp_path: Path
) -> None:
    rows, columns = np.mgrid[:128, :128]
    hole = np.hypot(rows - 60, columns - 64) < 28
    erased = np.where(hole[..., None], colour, base)
    Image.fromarray(np.dstack([erased, np.where(hole, 0, 255)]).astype(np.uint8)).save(tmp_path / "a.png")
    made = draw(f"a house on a hill, painting -I {tmp_path / 'a.png'} -S 3 -s 6 -C 5 -A ddim {how}")
    assert np.array_equal(made[~hole], base[~hole])
    assert step_across(made, hole) <= 2


@settings(max_examples=20)
@given(st.integers(0, 2**20), st.integers(0, 12))
def test_seam_removal_keeps_the_outside_and_changes_nothing_without_a_step(seed: int, blur: int) -> None:
    random = torch.Generator().manual_seed(seed)
    picture = torch.randint(0, 256, (24, 30, 3), generator=random, dtype=torch.uint8)
    other = torch.randint(0, 256, (24, 30, 3), generator=random, dtype=torch.uint8)
    inside = torch.rand(24, 30, generator=random) > 0.7
    made = without_seam(other, picture, inside, ~inside, blur)
    assert made[~inside].equal(other[~inside])
    assert without_seam(other, picture, inside, torch.zeros_like(inside), blur).equal(other)


def test_a_colour_shift_is_removed_at_the_rim_and_kept_inside() -> None:
    picture = torch.full((96, 256, 3), 100, dtype=torch.uint8)
    drawn = torch.full((96, 256, 3), 140, dtype=torch.uint8)
    inside = torch.zeros(96, 256, dtype=torch.bool)
    inside[:, 40:] = True
    made = without_seam(drawn, picture, inside, ~inside, 8)[48, :, 0].int()
    assert abs(int(made[40]) - 100) <= 3
    assert (made[41:].diff() >= 0).all()
    assert made[41:].diff().max() <= 3
    assert abs(int(made[-1]) - 140) <= 2


@pytest.mark.parametrize(("side", "blur"), [(48, 2), (96, 1)])
def test_the_solver_stops_within_its_mean_error(side: int, blur: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the solution that many more iterations lead to."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    kept = torch.from_numpy(np.stack([columns, rows, (rows + columns) / 2]) + 20)
    inside = torch.from_numpy(np.hypot(rows - side / 2, columns - side / 2) < 0.3 * side)
    stopped = seam._solve(kept + 30, kept, inside, ~inside, blur)
    monkeypatch.setattr(seam, "ITERATIONS", 400)
    monkeypatch.setattr(seam, "LEFT", 1e-4)
    exact = seam._solve(kept + 30, kept, inside, ~inside, blur)
    assert stopped[:, ~inside].equal(kept[:, ~inside])
    assert float((stopped - exact)[:, inside].abs().mean()) <= 0.05

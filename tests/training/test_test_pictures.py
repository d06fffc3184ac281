"""The pictures of test-pictures/ are what the script draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from training import test_pictures as script

FOLDER = Path(__file__).parents[2] / "test-pictures"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    script.main(folder)
    return folder


def pictures() -> list[str]:
    return [path.name for path in sorted(FOLDER.iterdir()) if path.suffix in (".png", ".jpg")]


@pytest.mark.parametrize("name", pictures())
def test_the_script_draws_the_shipped_test_pictures(drawn: Path, name: str) -> None:
    with Image.open(FOLDER / name) as kept, Image.open(drawn / name) as again:
        assert (kept.size, kept.mode) == (again.size, again.mode)
        assert np.abs(np.asarray(kept, dtype=int) - np.asarray(again, dtype=int)).mean() < 1


def test_every_test_picture_is_described() -> None:
    text = (FOLDER / "README.md").read_text()
    assert all(f"`{name}`" in text for name in pictures())


def test_the_rotated_picture_is_stored_sideways() -> None:
    with Image.open(FOLDER / "rotated.jpg") as stored:
        assert stored.getexif()[0x0112] == 6
        assert ImageOps.exif_transpose(stored).size == (384, 512)


def test_one_hole_keeps_its_colours_and_one_is_erased() -> None:
    with (
        Image.open(FOLDER / "photo-with-hole.png") as kept,
        Image.open(FOLDER / "photo-with-erased-hole.png") as erased,
    ):
        hole = np.asarray(kept)[:, :, 3] == 0
        assert 0.3 < hole.mean() < 0.32
        assert np.asarray(kept)[hole][:, :3].std() > 10
        assert not np.asarray(erased)[hole].any()

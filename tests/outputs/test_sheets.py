"""Sheets, strips and animations."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from invoke.events import Pixels
from invoke.outputs import sheets


def plain(level: int, width: int = 64, height: int = 48) -> Pixels:
    return Pixels(width, height, bytes([level]) * (width * height * 3))


def array(pixels: Pixels) -> np.ndarray:
    return np.frombuffer(pixels.data, np.uint8).reshape(pixels.height, pixels.width, 3)


def cells(sheet: Pixels, level: int, size: int) -> bool:
    """Whether one whole picture of that level is in the sheet."""
    return int((array(sheet) == level).all(axis=2).sum()) >= size


@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [(1, None, (1, 1)), (2, None, (2, 1)), (4, None, (2, 2)), (5, None, (3, 2)), (12, None, (4, 3)), (6, 6, (6, 1))],
)
def test_a_grid_has_rows_and_columns(count: int, columns: int | None, shape: tuple[int, int]) -> None:
    sheet = sheets.grid([plain(100 + n) for n in range(count)], [f"seed {n}" for n in range(count)], columns)
    assert 64 * shape[0] <= sheet.width < 64 * shape[0] + 10 * (shape[0] + 1)
    assert 48 * shape[1] < sheet.height < (48 + 40) * shape[1] + 10
    assert len(sheet.data) == sheet.width * sheet.height * 3
    assert all(cells(sheet, 100 + n, 64 * 48) for n in range(count))


@pytest.mark.parametrize(("count", "columns"), [(1, None), (5, None), (12, None), (6, 6), (5, 2)])
def test_pictures_stand_row_by_row_each_in_the_middle_of_its_cell(count: int, columns: int | None) -> None:
    """Gaps of 4 pixels, and a band for the label below each row; a smaller picture leaves the background around it."""
    sizes = [(64, 48), (32, 48), (64, 20), (30, 10), (64, 48)]
    pictures = [plain(100 + n, *sizes[n % 5]) for n in range(count)]
    sheet = sheets.grid(pictures, [""] * count, columns)
    across = columns or int(np.ceil(np.sqrt(count)))
    band = (sheet.height - 4) // -(-count // across) - 4 - 48
    expected = np.full((sheet.height, sheet.width, 3), 24, np.uint8)
    for n, picture in enumerate(pictures):
        left = 4 + n % across * (64 + 4) + (64 - picture.width) // 2
        top = 4 + n // across * (48 + band + 4) + (48 - picture.height) // 2
        expected[top : top + picture.height, left : left + picture.width] = 100 + n
    assert np.array_equal(array(sheet), expected)


def test_every_label_is_drawn() -> None:
    named = sheets.grid([plain(0), plain(0)], ["seed 1", "seed 2"])
    bare = sheets.grid([plain(0), plain(0)], ["", ""])
    changed = (array(named) != array(bare)).any(axis=2)
    assert changed[:, : named.width // 2].any()
    assert changed[:, named.width // 2 :].any()


@pytest.mark.parametrize("label", ["x" * 500, "a\nb", "日本 🔥", "", "\x1b[2J"])
def test_odd_labels_do_not_change_the_size_of_a_sheet(label: str) -> None:
    plain_sheet = sheets.grid([plain(7)], ["x"])
    sheet = sheets.grid([plain(7)], [label])
    assert (sheet.width, sheet.height) == (plain_sheet.width, plain_sheet.height)
    assert cells(sheet, 7, 64 * 48)


def test_pictures_of_several_sizes_share_a_sheet() -> None:
    sheet = sheets.grid([plain(100), plain(150, 32, 80)], ["a", "b"])
    assert cells(sheet, 100, 64 * 48)
    assert cells(sheet, 150, 32 * 80)


def test_a_sheet_is_limited_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "LARGEST_SHEET", 64 * 48 * 2)
    sheet = sheets.grid([plain(n) for n in range(32)], ["x"] * 32)
    assert sheet.width < 64 * 6


def test_a_strip_is_one_row() -> None:
    sheet = sheets.strip([plain(100), plain(110), plain(120)], ["0/2", "1/2", "2/2"])
    assert sheet.height < 2 * 48
    middle = [array(sheet)[20, x, 0] for x in (30, 30 + 68, 30 + 136)]
    assert middle == [100, 110, 120]


def test_a_gif_has_a_frame_for_each_step() -> None:
    data = sheets.gif([plain(0), plain(120), plain(250)])
    with Image.open(BytesIO(data)) as image:
        assert (image.format, image.size, image.n_frames) == ("GIF", (64, 48), 3)  # type: ignore[attr-defined]
        shown, durations = [], []
        for frame in range(3):
            image.seek(frame)
            shown.append(image.convert("L").getpixel((5, 5)))
            durations.append(image.info["duration"])
    assert shown == pytest.approx([0, 120, 250], abs=3)
    assert durations == [120, 120, 1500]


def test_a_long_strip_has_rows_of_equal_length() -> None:
    strip = sheets.strip([plain(200)] * 22, ["22/22"] * 22)
    row = sheets.strip([plain(200)] * 11, ["22/22"] * 11)
    assert strip.width == row.width
    assert strip.height > 1.8 * row.height

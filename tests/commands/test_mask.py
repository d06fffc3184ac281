"""Masks keep pixels bit for bit: every kind of file, inverted or not, at any size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invoke.images import open_picture, prepare
from tests.engine.making import Array, disc, save, scene
from tests.studio import Studio


def _grey(hole: Array) -> Image.Image:
    return Image.fromarray(np.where(hole, 0, 255).astype(np.uint8))


def _clear(hole: Array, mode: str) -> Image.Image:
    """Transparent where the hole is, and white there, which must not matter."""
    image = Image.fromarray(np.where(hole, 255, 0).astype(np.uint8)).convert(mode.removesuffix("A"))
    image.putalpha(_grey(hole))
    return image


def _palette(hole: Array) -> Image.Image:
    image = Image.fromarray(np.where(hole, 7, 9).astype(np.uint8), mode="P")
    image.putpalette([255, 0, 0] * 7 + [0, 0, 0] + [0, 255, 0] + [255, 255, 255])
    return image


MODES: dict[str, Callable[[Array], Image.Image]] = {
    "L": _grey,
    "1": lambda hole: Image.fromarray(~hole),
    "LA": lambda hole: _clear(hole, "LA"),
    "P": _palette,
    "RGB": lambda hole: _grey(hole).convert("RGB"),
    "RGBA": lambda hole: _clear(hole, "RGBA"),
    "opaque RGBA": lambda hole: _grey(hole).convert("RGBA"),
    "16 bit": lambda hole: Image.fromarray(np.where(hole, 0, 65535).astype(np.uint16)),
}
SIZES = {
    "as it is": ((64, 64), ""),
    "cut to multiples": ((71, 69), ""),
    "--fit": ((131, 90), "--fit -W 100 -H 100"),
    "cover": ((131, 90), "-W 64 -H 80"),
    "enlarged": ((50, 41), "-W 80"),
}


@pytest.mark.parametrize("way", ["", "--invert_mask"])
@pytest.mark.parametrize(
    ("mode", "size"), [*((mode, "cut to multiples") for mode in MODES), *(("LA", size) for size in SIZES)]
)
@pytest.mark.filterwarnings("ignore:.*mode.*parameter:DeprecationWarning")
def test_kept_pixels_equal_the_prepared_original(
    mode: str, way: str, size: str, studio: Studio, tmp_path: Path
) -> None:
    (width, height), switches = SIZES[size]
    hole = disc(width, height, radius=min(width, height) / 3)
    picture = save(tmp_path / "a.png", scene(width, height))
    MODES[mode](hole).save(tmp_path / "m.png")
    made = studio.make(f"a cat -I {picture} -M {tmp_path / 'm.png'} {switches} {way} -f 0.7 -s 3 --mask_blur 3")
    result = made.pixels
    shown = result.shape[1], result.shape[0]
    keep = _grey(hole != bool(way))
    opaque = np.asarray(prepare(keep, *shown)) == 255
    original = np.asarray(prepare(open_picture(picture).image, *shown))
    assert 0.1 < opaque.mean() < 0.9
    assert np.array_equal(result[opaque], original[opaque])
    assert (result[~opaque] != original[~opaque]).any(axis=-1).mean() > 0.8


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hidden", [0, 255, None])
def test_opaque_pixels_are_independent_of_hidden_colours(
    size: str, hidden: int | None, studio: Studio, tmp_path: Path
) -> None:
    """One flat colour around a hole is the same after scaling, whatever was under the hole."""
    (width, height), switches = SIZES[size]
    hole = disc(width, height, radius=min(width, height) / 3)
    picture = np.full((height, width, 3), 90, dtype=np.uint8)
    picture[hole] = scene(width, height)[hole] if hidden is None else hidden
    path = save(tmp_path / "a.png", np.dstack([picture, np.where(hole, 0, 255).astype(np.uint8)]))
    result = studio.make(f"a cat -I {path} {switches} -f 0.7 -s 3").pixels
    opaque = np.asarray(prepare(_grey(hole), result.shape[1], result.shape[0])) == 255
    assert (result[opaque] == 90).all()
    assert (result[~opaque] != 90).any()

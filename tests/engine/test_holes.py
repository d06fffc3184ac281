"""Colours under a filled or fully redrawn hole never affect the picture, and its rim is invisible."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.img2img.erased import _eroded, connected, erased
from invoke.engine.img2img.outpainting import grow
from invoke.engine.img2img.prepared import prepare_init
from invoke.engine.pipeline.embiggen import enlarged
from invoke.engine.pipeline.picture import DRAWN_LATER
from invoke.errors import PictureError
from invoke.events import Heatmap
from invoke.images import open_picture
from invoke.request import Request
from tests.engine.making import Array, disc, events, make, notes, save, scene, with_alpha
from tests.making import ARequest
from tests.making import a_request as a_plain_request

LAW = settings(max_examples=8)


def noise(seed: int, width: int, height: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def no_words(picture: object, text: str) -> Heatmap:
    raise AssertionError("no text masks here")


@LAW
@given(
    way=st.sampled_from([{"strength": 1.0}, {"infill": "blur"}, {"infill": "solid"}, {"infill": "noise"}]),
    by_mask=st.booleans(),
    outcrop=st.sampled_from([(), ("left", 16)]),
    size=st.sampled_from([(64, 64), (71, 69), (131, 90), (40, 52)]),
    seed=st.integers(0, 2**20),
)
def test_hidden_colours_never_affect_the_picture(  # noqa: PLR0917 - filled in by hypothesis
    way: dict[str, object],
    by_mask: bool,
    outcrop: tuple[object, ...],
    size: tuple[int, int],
    seed: int,
    engine: DiffusionEngine,
    a_request: ARequest,
    tmp_path: Path,
) -> None:
    """The law, bit for bit: for anything under the hole, by transparency or mask, scaled or not."""
    hole = disc(*size, radius=13)
    mask = save(tmp_path / "mask.png", np.where(hole, 0, 255).astype(np.uint8))
    made = []
    for other in (noise(seed, *size), np.zeros((*size[::-1], 3), np.uint8)):
        picture = np.where(hole[..., None], other, scene(*size))
        path = tmp_path / f"{len(made)}.png"
        if by_mask:
            save(path, picture)
        else:
            with_alpha(path, picture, np.where(hole, 0, 255))
        output = {"mask_image": mask} if by_mask else {}
        request = a_request(init_image=path, outcrop=outcrop, **output, **({"strength": 0.5} | way))
        made.append(make(engine, request))
    assert np.array_equal(*made)


@pytest.mark.parametrize("colours", [(0, 255), (0, 128), (255, 40)])
def test_each_of_several_erased_holes_is_detected(
    colours: tuple[int, int], engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    """M5: one hole was erased to black, one to white, and neither was detected."""
    picture, alpha = scene(), np.full((64, 64), 255)
    for place, colour in zip((np.s_[8:24, 8:24], np.s_[36:56, 36:56]), colours, strict=True):
        picture[place], alpha[place] = colour, 0
    path = with_alpha(tmp_path / "a.png", picture, alpha)
    happened = events(engine, a_request(init_image=path))
    assert notes(happened) == ["the transparent part was erased (one flat colour under it): filled in from its rim"]
    filled = prepare_init(a_request(init_image=path), open_picture(path), no_words).encode_source
    clean = with_alpha(tmp_path / "b.png", scene(), alpha)
    blurred = prepare_init(a_request(init_image=clean, infill="blur"), open_picture(clean), no_words).encode_source
    assert filled.equal(blurred)


class Noting(Request):
    """A request that records which of its fields are read."""

    read: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> Any:
        Noting.read.add(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    "changes",
    [
        {"outcrop": ("top", 64), "infill": "noise"},
        {"embiggen": (2.0, 0.5, 0.25)},
        {"soft": True, "mask_image": "{mask}"},
        {"strength_map": "{mask}", "invert_mask": True, "mask_image": "{mask}", "strength": 1},
    ],
)
def test_the_cache_key_contains_all_fields_that_preparation_reads(changes: dict[str, Any], tmp_path: Path) -> None:
    mask = str(save(tmp_path / "mask.png", np.where(disc(), 0, 200).astype(np.uint8)))
    path = with_alpha(tmp_path / "a.png", scene(), np.where(disc(), 0, 255))
    changes = {name: mask if value == "{mask}" else value for name, value in changes.items()}
    request = Noting(**asdict(a_plain_request(init_image=str(path), **changes)))
    Noting.read.clear()
    prepared = prepare_init(request, open_picture(path), no_words)
    if request.embiggen:
        enlarged(prepared, request)
    elif request.outcrop:
        grow(prepared, request, 64)
    assert Noting.read & DRAWN_LATER <= {"seed", "strength"}


def test_a_hole_beside_an_erased_one_keeps_its_colours(a_request: ARequest, tmp_path: Path) -> None:
    picture, alpha = scene(), np.full((64, 64), 255)
    erased_one, kept_one = np.s_[8:24, 8:24], np.s_[36:56, 36:56]
    picture[erased_one], alpha[erased_one], alpha[kept_one] = 0, 0, 0
    path = with_alpha(tmp_path / "a.png", picture, alpha)
    prepared = prepare_init(a_request(init_image=path), open_picture(path), no_words)
    assert prepared.covered is not None
    assert prepared.covered[erased_one].all()
    assert not prepared.covered[kept_one].any()
    assert np.array_equal((prepared.encode_source[kept_one] * 255).round().numpy(), scene()[kept_one])


def test_a_flat_part_that_shows_is_not_erased(a_request: ARequest, tmp_path: Path) -> None:
    """With an inverted mask the opaque part is redrawn: its one colour is its content."""
    picture, alpha = scene(), np.full((64, 64), 255)
    picture[:, :32], alpha[:, 32:] = 90, 0
    path = with_alpha(tmp_path / "a.png", picture, alpha)
    prepared = prepare_init(a_request(init_image=path, invert_mask=True), open_picture(path), no_words)
    assert prepared.covered is not None
    assert not prepared.covered.any()
    assert prepared.notes == ()


@pytest.mark.parametrize(("form", "quality"), [("WEBP", 90), ("WEBP", 50), ("AVIF", 70)])
def test_erased_colours_are_detected_in_lossy_files(
    form: str, quality: int, a_request: ARequest, tmp_path: Path
) -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    picture = np.dstack([rows * 3, columns * 3, rows + columns]).astype(np.uint8)
    hole = disc(radius=20)
    picture[hole] = 255
    image = Image.fromarray(np.dstack([picture, np.where(hole, 0, 255).astype(np.uint8)]))
    image.save(tmp_path / "a", form, quality=quality)
    prepared = prepare_init(a_request(init_image=tmp_path / "a"), open_picture(tmp_path / "a"), no_words)
    assert len(prepared.notes) == 1
    assert prepared.notes[0].startswith(
        "this WebP has no colours under its transparent part" if form == "WEBP" else "the transparent part was erased"
    )
    assert prepared.covered is not None
    assert prepared.covered[hole].all()


@pytest.mark.parametrize(
    ("options", "has_colours"),
    [
        ({"lossless": True}, False),
        ({"lossless": True, "method": 6}, False),
        ({"quality": 95}, False),
        ({"lossless": True, "exact": True}, True),
    ],
)
def test_colours_that_a_webp_made_up_are_not_drawn_from(
    options: dict[str, object], has_colours: bool, a_request: ARequest, tmp_path: Path
) -> None:
    """Its encoders replace what is transparent by what is short to write, unless told otherwise (`exact`)."""
    picture = np.clip(scene() + noise(1, 64, 64) // 16, 0, 255).astype(np.uint8)
    hole = disc(radius=20)
    image = Image.fromarray(np.dstack([picture, np.where(hole, 0, 255).astype(np.uint8)]))
    image.save(tmp_path / "a", "WEBP", **options)
    prepared = prepare_init(a_request(init_image=tmp_path / "a"), open_picture(tmp_path / "a"), no_words)
    assert prepared.covered is not None
    assert bool(prepared.covered[torch.from_numpy(hole)].any()) is not has_colours
    assert bool(prepared.notes) is not has_colours


def test_touching_pixels_are_one_area() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 1]], bool)
    assert connected(mask).tolist() == [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 3], [4, 4, 0, 3]]
    snake = np.zeros((41, 41), bool)
    snake[::2], snake[1::4, -1], snake[3::4, 0] = True, True, True
    assert set(np.unique(connected(snake))) == {0, 1}


@settings(max_examples=30)
@given(st.integers(0, 2**20), st.floats(0.1, 0.9))
def test_areas_equal_those_of_flood_filling(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((12, 15)) < share
    found = connected(mask)
    labels, number = np.zeros_like(found), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        number, waiting = number + 1, [start]
        while waiting:
            row, column = waiting.pop()
            if 0 <= row < 12 and 0 <= column < 15 and mask[row, column] and not labels[row, column]:
                labels[row, column] = number
                waiting += [(row + y, column + x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    assert np.array_equal(labels, found)


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_holes_are_eroded_from_their_rim_alone(seed: int, pixels: int) -> None:
    """By a second implementation; the picture's edge is no rim."""
    mask = np.random.default_rng(seed).random((9, 12)) < 0.9
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(mask, pixels, constant_values=True), (2 * pixels + 1, 2 * pixels + 1)
    )
    assert np.array_equal(_eroded(mask, pixels), around.all(axis=(2, 3)))


@pytest.mark.parametrize(
    ("side", "odd", "off", "is_erased"),
    [
        (20, 0, 0, True),  # 4 × 4 pixels remain without the rim of 8
        (20, 1, 8, True),
        (20, 1, 9, False),  # 6 % of them
        (21, 1, 9, True),  # 4 %
        (21, 2, 9, False),
        (19, 1, 200, True),  # too few remain: 15 × 15 without a rim of 2
        (19, 11, 200, True),
        (19, 12, 200, False),
        (4, 0, 0, True),  # nothing remains: all of it counts
        (4, 1, 9, False),
    ],
)
def test_how_much_of_an_erased_hole_may_have_another_colour(side: int, odd: int, off: int, is_erased: bool) -> None:
    colours, hole = np.full((40, 40, 3), 30, np.uint8), np.zeros((40, 40), bool)
    hole[8 : 8 + side, 8 : 8 + side] = True
    middle = 8 + side // 2
    for k in range(odd):
        colours[middle + k % 4 - 1, middle + k // 4 - 1, 1] += off
    assert bool(erased(colours, hole).any()) is is_erased


def test_hidden_photographs_do_not_count_as_erased() -> None:
    colours = (128 + 20 * np.random.default_rng(0).standard_normal((40, 40, 3))).clip(0, 255).astype(np.uint8)
    assert not erased(colours, disc(40, 40, 12)).any()
    assert erased(np.full_like(colours, 7), disc(40, 40, 12)).sum() == disc(40, 40, 12).sum()


def test_a_wholly_erased_picture_is_refused_below_strength_1(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    """M7: the picture became nearly black, "filled in from its rim"."""
    path = with_alpha(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64)))
    with pytest.raises(PictureError, match="nothing is left of this picture to start from") as caught:
        make(engine, a_request(init_image=path, strength=0.3))
    assert caught.value.hint.startswith("-f 1 ")
    alone = make(engine, a_request())
    assert np.array_equal(make(engine, a_request(init_image=path, strength=1.0)), alone)


def test_nearly_opaque_pixels_count_as_opaque(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    """M3: alpha 254 everywhere meant "inpainting 100 %", and nothing changed."""
    whole, nearly = save(tmp_path / "a.png", scene()), with_alpha(tmp_path / "b.png", scene(), np.full((64, 64), 254))
    made = [make(engine, a_request(init_image=path)) for path in (whole, nearly)]
    assert np.array_equal(*made)


def test_a_stray_transparent_pixel_of_a_mask_is_ignored(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    """M4: the mask's black was ignored, and nothing painted."""
    picture = save(tmp_path / "a.png", scene())
    mask = np.where(disc()[..., None], 0, 255).astype(np.uint8).repeat(3, -1)
    plain = save(tmp_path / "m.png", mask)
    for stray in (254, 0):
        alpha = np.full((64, 64), 255)
        alpha[3, 5] = stray
        odd = with_alpha(tmp_path / f"m{stray}.png", mask, alpha)
        made = [make(engine, a_request(init_image=picture, mask_image=path)) for path in (plain, odd)]
        assert np.array_equal(*made)


@pytest.mark.parametrize("soft", [2, 6])
def test_premultiplied_colours_are_restored(soft: int, tmp_path: Path) -> None:
    """M6: a dark halo at the rim, 72 where the picture has 110."""
    rows, columns = np.mgrid[0:64, 0:64]
    distance = np.hypot(rows - 32, columns - 32)
    alpha = np.clip((distance - 16) / soft, 0, 1)
    picture = np.stack([np.full((64, 64), level) for level in (110, 80, 60)], -1)
    premultiplied = np.rint(picture * alpha[..., None]).astype(np.uint8)
    path = with_alpha(tmp_path / "a.png", premultiplied, np.rint(alpha * 255))
    read = open_picture(path)
    assert read.notes == ("its colours are premultiplied by its transparency, which is undone",)
    seen = np.rint(alpha * 255) >= 32
    assert np.abs(np.asarray(read.image).astype(int) - picture)[seen].max() <= 4


@pytest.mark.parametrize("colour", [(110, 80, 60), (20, 10, 15)])
def test_straight_alpha_is_not_changed(colour: tuple[int, int, int], tmp_path: Path) -> None:
    """Also dark pictures, whose colours happen to be below alpha."""
    rows, columns = np.mgrid[0:64, 0:64]
    alpha = np.clip((np.hypot(rows - 32, columns - 32) - 16) / 4, 0, 1)
    picture = np.where(alpha[..., None] > 0, np.array(colour), 0).astype(np.uint8)
    read = open_picture(with_alpha(tmp_path / "a.png", picture, np.rint(alpha * 255)))
    assert read.notes == ()
    assert np.array_equal(np.asarray(read.image), picture)

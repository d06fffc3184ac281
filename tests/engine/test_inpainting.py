"""Only the hole is repainted: every opaque pixel is bit-equal to the prepared original."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.img2img import prepared
from invoke.engine.img2img.prepared import prepare_init
from invoke.errors import PictureError
from invoke.events import Heatmap
from invoke.images import open_picture, prepare
from tests.engine.making import Array, disc, events, finished, make, notes, pixels, save, scene, started, with_alpha
from tests.making import ARequest

INFILLS = ("keep", "blur", "noise", "solid")


def _rgba(path: Path, hole: Array) -> Path:
    return with_alpha(path, scene(hole.shape[1], hole.shape[0]), np.where(hole, 0, 255))


def _la(path: Path, hole: Array) -> Path:
    grey = scene(hole.shape[1], hole.shape[0])[..., 0]
    Image.fromarray(np.dstack([grey, np.where(hole, 0, 255).astype(np.uint8)])).save(path)
    return path


def _palette(path: Path, hole: Array) -> Path:
    image = Image.fromarray((scene(hole.shape[1], hole.shape[0])[..., 1] % 200 + 1).astype(np.uint8), mode="P")
    image.putpalette(bytes((i * 37 + k * 11) % 256 for i in range(256) for k in range(3)))
    image.paste(0, mask=Image.fromarray(hole))
    image.save(path, transparency=0)
    return path


@pytest.mark.parametrize("kind", [_rgba, _la, _palette])
@pytest.mark.parametrize("size", [(64, 64), (71, 69), (131, 90)])
@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.filterwarnings("ignore:.*mode.*parameter:DeprecationWarning")
def test_opaque_pixels_equal_the_original(  # noqa: PLR0917 - filled in by pytest
    kind: Callable[[Path, Array], Path],
    size: tuple[int, int],
    channels: int,
    strength: float,
    engine: DiffusionEngine,
    a_request: ARequest,
    model_of: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    path = kind(tmp_path / "a.png", disc(*size, radius=20))
    happened = events(engine, a_request(model=model_of(channels), init_image=path, strength=strength, mask_blur=3))
    original, opaque = _prepared(path)
    made = pixels(happened)
    assert made[opaque].tolist() == original[opaque].tolist()
    assert (made[~opaque] != original[~opaque]).any(axis=-1).mean() > 0.8
    assert started(happened).mode == "inpaint"
    assert started(happened).painted == finished(happened).facts.painted
    assert started(happened).painted == pytest.approx(
        (~opaque).mean(), abs=0.05
    )  # a share of transparency, not of pixels


def test_a_mask_takes_precedence_over_transparency(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    picture = _rgba(tmp_path / "a.png", disc())
    right = np.zeros((64, 64), dtype=bool)
    right[:, 40:] = True
    mask = save(tmp_path / "mask.png", np.where(right, 0, 255).astype(np.uint8))
    happened = events(engine, a_request(init_image=picture, mask_image=mask, mask_blur=0))
    assert pixels(happened)[~right].tolist() == scene()[~right].tolist()
    assert (pixels(happened)[right] != scene()[right]).any(axis=-1).mean() > 0.8
    assert set(finished(happened).facts.hashes) == {"init_image", "mask_image", "model"}

    inverted = make(engine, a_request(init_image=picture, mask_image=mask, mask_blur=0, invert_mask=True))
    assert inverted[right].tolist() == scene()[right].tolist()


def test_a_mask_of_another_size_with_the_same_proportions_is_scaled(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    picture = save(tmp_path / "a.png", scene(64, 32))
    mask = save(tmp_path / "mask.png", np.where(np.arange(128) < 64, 255, 0).astype(np.uint8)[None].repeat(64, 0))
    made = make(engine, a_request(init_image=picture, mask_image=mask, width=64, height=32))
    assert made[:, :31].tolist() == scene(64, 32)[:, :31].tolist()


def test_a_mask_of_other_proportions_is_refused(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    picture, mask = save(tmp_path / "a.png", scene()), save(tmp_path / "m.png", scene(64, 48))
    with pytest.raises(PictureError, match=r"m\.png: this mask is 64×48, but .*a\.png is 64×64"):
        events(engine, a_request(init_image=picture, mask_image=mask))


def test_a_mask_that_keeps_everything_is_refused(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", scene())
    mask = save(tmp_path / "m.png", np.full((64, 64), 255, dtype=np.uint8))
    with pytest.raises(PictureError, match="keeps everything"):
        events(engine, a_request(init_image=picture, mask_image=mask))


@pytest.mark.parametrize("inverted", [False, True])
def test_a_speck_of_transparency_is_ignored(
    inverted: bool, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    speck = np.zeros((64, 64), dtype=bool)
    speck[3, 5:8] = True
    happened = events(engine, a_request(init_image=_rgba(tmp_path / "a.png", speck), invert_mask=inverted))
    assert started(happened).mode == "img2img"


def test_a_transparent_part_that_is_cropped_away_is_noted(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    edge = np.zeros((64, 72), dtype=bool)
    edge[:, :3] = True
    happened = events(engine, a_request(init_image=_rgba(tmp_path / "a.png", edge)))
    assert started(happened).mode == "img2img"
    assert notes(happened) == [
        f"{tmp_path / 'a.png'}: the part to repaint disappears at 64×64, so the whole picture is redrawn"
    ]


def test_a_mask_whose_hole_is_cropped_away_is_refused(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    mask = np.full((64, 72), 255, dtype=np.uint8)
    mask[:, :3] = 0
    request = a_request(init_image=save(tmp_path / "a.png", scene(72, 64)), mask_image=save(tmp_path / "m.png", mask))
    with pytest.raises(PictureError, match="the part to repaint disappears at 64×64"):
        events(engine, request)


def test_a_wholly_transparent_picture_cannot_be_inverted(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    path = with_alpha(tmp_path / "a.png", scene(), np.zeros((64, 64)))
    with pytest.raises(PictureError, match="all of it is transparent, so --invert_mask would repaint nothing"):
        events(engine, a_request(init_image=path, invert_mask=True))


def test_partial_transparency_blends_old_and_new(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the transparency of each pixel, with what was painted."""
    painted: list[Array] = []
    real = prepared.paste

    def paste(new: torch.Tensor, original: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        painted.append(new.numpy().astype(float))
        return real(new, original, weight)

    monkeypatch.setattr(prepared, "paste", paste)
    alpha = np.full((64, 64), 255)
    alpha[:, 32:48], alpha[:, 48:] = 200, 100
    path = with_alpha(tmp_path / "a.png", scene(), alpha)
    made = make(engine, a_request(init_image=path, strength=1.0, mask_blur=0))
    share = (1 - alpha / 255)[..., None]
    assert np.abs(made - (scene() + (painted[0] - scene()) * share)).max() <= 0.51
    assert np.abs(painted[0] - scene())[:, 32:].mean() > 10


def test_erased_colours_are_detected_and_filled(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    picture, hole = scene(), disc()
    picture[hole] = 0
    path = with_alpha(tmp_path / "a.png", picture, np.where(hole, 0, 255))
    happened = events(engine, a_request(init_image=path))
    assert notes(happened) == ["the transparent part was erased (one flat colour under it): filled in from its rim"]
    assert pixels(happened).tolist() == make(engine, a_request(init_image=path, infill="blur")).tolist()
    solid = events(engine, a_request(init_image=path, infill="solid"))
    assert notes(solid)[0].endswith("filled with --infill solid")
    assert pixels(solid).tolist() != pixels(happened).tolist()


def test_hidden_colours_are_used_unless_infill_is_given(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    path = _rgba(tmp_path / "a.png", disc())
    made = {infill: make(engine, a_request(init_image=path, infill=infill)) for infill in INFILLS}
    assert len({picture.tobytes() for picture in made.values()}) == 4
    assert notes(events(engine, a_request(init_image=path))) == []


def test_inpaint_replace_ignores_the_hidden_colours(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    one = _rgba(tmp_path / "a.png", disc())
    changed = np.where(disc()[..., None], 255 - scene(), scene())
    other = with_alpha(tmp_path / "b.png", changed, np.where(disc(), 0, 255))

    def apart(replace: float) -> float:
        both = [make(engine, a_request(init_image=path, inpaint_replace=replace)) for path in (one, other)]
        return float(np.abs(both[0].astype(int) - both[1]).mean())

    assert apart(1.0) < apart(0.5) < apart(0.0)


@pytest.mark.parametrize("channels", [4, 9])
def test_a_wholly_transparent_picture_is_wholly_repainted(
    channels: int, engine: DiffusionEngine, a_request: ARequest, model_of: Callable[[int], Path], tmp_path: Path
) -> None:
    path = with_alpha(tmp_path / "a.png", scene(), np.zeros((64, 64)))
    happened = events(engine, a_request(model=model_of(channels), init_image=path))
    assert started(happened).painted == 1


def test_scaling_leaves_no_edge_of_the_erased_colour(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    picture, hole = np.full((256, 256, 3), 200, dtype=np.uint8), disc(256, 256, 60)
    picture[hole] = 0
    path = with_alpha(tmp_path / "a.png", picture, np.where(hole, 0, 255))
    prepared = prepare_init(a_request(init_image=path), open_picture(path), _no_words)
    assert prepared.repaint_mask is not None
    assert ((prepared.repaint_mask > 0) & (prepared.repaint_mask < 1)).any()
    assert (prepared.original[prepared.repaint_mask == 0] == 200).all()
    assert (prepared.original[prepared.repaint_mask < 1].int() - 200).abs().max() <= 1
    assert (prepared.encode_source - 200 / 255).abs().max() < 0.01
    assert prepared.original[prepared.repaint_mask == 1].min() == 0


def _no_words(picture: object, text: str) -> Heatmap:
    raise AssertionError("no text masks here")


def _prepared(path: Path) -> tuple[Array, Array]:
    picture = open_picture(path)
    assert picture.alpha is not None
    original, alpha = prepare(picture.image, 64, 64, picture.alpha), prepare(picture.alpha, 64, 64)
    return np.asarray(original), np.asarray(alpha) == 255

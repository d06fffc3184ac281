"""Masks from words, by a real CLIPSeg with random weights."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import InvokeError, ModelError, PictureError, RequestError
from invoke.events import Heatmap, Loaded, Loading
from invoke.images import open_picture, prepare
from invoke.images.heatmap import grey, kept
from invoke.models import ModelSpec, Registry
from tests import tiny_clipseg
from tests.engine.making import Array, events, finished, make, pixels, save, scene, started
from tests.engine.test_engine import Broken
from tests.making import ARequest


@pytest.fixture(scope="module")
def clipseg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clipseg.save_folder(tmp_path_factory.mktemp("models") / "clipseg")


def an_engine(clipseg: Path | str) -> DiffusionEngine:
    return DiffusionEngine(Registry({"clipseg": ModelSpec(name="clipseg", weights=str(clipseg), kind="text-mask")}))


@pytest.fixture(scope="module")
def shared(clipseg: Path) -> Iterator[DiffusionEngine]:
    with closing(an_engine(clipseg)) as engine:
        yield engine


@pytest.fixture
def engine(shared: DiffusionEngine) -> DiffusionEngine:
    return shared


def heat_of(engine: DiffusionEngine, path: Path, text: str = "fire") -> Heatmap:
    *_, heat = engine.segment(str(path), text)
    assert isinstance(heat, Heatmap)
    return heat


def selected(engine: DiffusionEngine, path: Path, threshold: float, text: str = "fire") -> Array:
    """The selected part of the upright picture at `path`."""
    mask = kept(heat_of(engine, path, text), open_picture(path).image.size, threshold)
    return np.asarray(mask) == 0


# the heat


def test_the_heatmap_equals_that_of_the_network(engine: DiffusionEngine, clipseg: Path, tmp_path: Path) -> None:
    from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

    path = save(tmp_path / "a.png", scene(90, 70))
    network = CLIPSegForImageSegmentation.from_pretrained(clipseg).eval()
    processor = CLIPSegProcessor.from_pretrained(clipseg)
    given = processor(
        text=["fire"], images=[Image.open(path)], padding="max_length", max_length=77, return_tensors="pt"
    )
    with torch.no_grad():
        expected = network(**given).logits.sigmoid()
    heat = heat_of(engine, path)
    assert np.array_equal(np.frombuffer(heat.data, np.float32), expected.numpy().ravel())
    assert (heat.width, heat.height) == (tiny_clipseg.SIDE, tiny_clipseg.SIDE)
    assert len(heat.weights) == 64


heats = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1)).map(
    lambda drawn: Heatmap(
        *drawn[:2], np.random.default_rng(drawn[2]).random(drawn[0] * drawn[1], dtype=np.float32).tobytes(), ""
    )
)
sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))
unit = st.floats(0, 1)


@given(heats, sizes, unit, unit)
def test_a_higher_threshold_never_selects_more(heat: Heatmap, size: tuple[int, int], one: float, other: float) -> None:
    few, many = (np.asarray(kept(heat, size, threshold)) == 0 for threshold in (max(one, other), min(one, other)))
    assert few.shape == size[::-1]
    assert (few <= many).all()


@given(heats, sizes)
def test_a_threshold_selects_scores_above_it(heat: Heatmap, size: tuple[int, int]) -> None:
    assert (np.asarray(kept(heat, size, 0)) == 0).all()
    sure = np.asarray(grey(heat, size)).astype(int)
    chosen = np.asarray(kept(heat, size, 0.5)) == 0
    assert (sure[chosen] >= 127).all()
    assert (sure[~chosen] <= 128).all()


def test_a_rotated_picture_is_masked_upright(engine: DiffusionEngine, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(scene(90, 60))
    stored.save(tmp_path / "turned.png", exif=exif)
    save(tmp_path / "upright.png", np.asarray(stored.transpose(Image.Transpose.ROTATE_270)))
    turned, upright = (selected(engine, tmp_path / name, 0.5) for name in ("turned.png", "upright.png"))
    assert turned.shape == (90, 60)
    assert np.array_equal(turned, upright)


# the hole


@pytest.mark.parametrize("size", [(64, 64), (71, 69), (131, 90), (40, 52)])
@pytest.mark.parametrize("inverted", [False, True])
def test_pixels_outside_the_text_mask_are_kept(
    size: tuple[int, int], inverted: bool, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.png", scene(*size))
    happened = events(engine, a_request(init_image=path, text_mask=("fire", 0.5), invert_mask=inverted, mask_blur=3))
    repaint_mask = selected(engine, path, 0.5) != inverted
    keep = Image.fromarray(np.where(repaint_mask, 0, 255).astype(np.uint8))
    opaque = np.asarray(prepare(keep, 64, 64)) == 255
    original = np.asarray(prepare(open_picture(path).image, 64, 64))
    assert 0.1 < opaque.mean() < 0.9
    assert np.array_equal(pixels(happened)[opaque], original[opaque])
    assert (pixels(happened)[~opaque] != original[~opaque]).any(axis=-1).mean() > 0.7
    assert started(happened).mode == finished(happened).facts.mode == "inpaint"
    share = 1 - np.asarray(prepare(keep, 64, 64)).mean() / 255
    assert started(happened).painted == pytest.approx(share, abs=1e-6)
    assert set(finished(happened).facts.hashes) == {"init_image", "text_mask", "model"}


def test_invert_mask_swaps_what_is_repainted(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene())
    one, other = (
        make(engine, a_request(init_image=path, text_mask=("fire", 0.5), invert_mask=inverted, mask_blur=0))
        for inverted in (False, True)
    )
    changed = [(made != scene()).any(axis=-1) for made in (one, other)]
    assert not (changed[0] & changed[1]).any()
    assert (changed[0] | changed[1]).mean() > 0.8


def test_mask_and_transparency_take_precedence_over_text(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    right = np.where(np.arange(64) < 32, 255, 0).astype(np.uint8)[None].repeat(64, 0)
    opaque, mask = save(tmp_path / "a.png", scene()), save(tmp_path / "m.png", right)
    holed = save(tmp_path / "b.png", np.dstack([scene(), right]))
    words = {"text_mask": ("fire", 0.5)}
    for request in ({"init_image": opaque, "mask_image": mask}, {"init_image": holed}):
        assert np.array_equal(make(engine, a_request(**request, **words)), make(engine, a_request(**request)))


@pytest.mark.parametrize(
    ("threshold", "sentence", "hint"),
    [
        (1.0, "-tm 'fire' 1 selects nothing in ", "type a lower threshold, or other words"),
        (0.0, "-tm 'fire' 0 selects everything in ", "type a higher threshold, or other words"),
    ],
)
def test_selecting_nothing_or_everything_is_refused(  # noqa: PLR0917 - filled in by pytest
    threshold: float, sentence: str, hint: str, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.png", scene())
    for inverted in (False, True):
        with pytest.raises(PictureError) as caught:
            events(engine, a_request(init_image=path, text_mask=("fire", threshold), invert_mask=inverted))
        assert caught.value.message == f"{sentence}{path}"
        assert caught.value.hint.endswith(hint)


def test_a_text_that_is_too_long_is_refused(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene())
    with pytest.raises(RequestError, match="this text has 202 tokens; at most 77 are allowed"):
        events(engine, a_request(init_image=path, text_mask=("x " * 200, 0.5)))


# the model


def test_clipseg_is_loaded_once_and_runs_once_per_picture(
    clipseg: Path, a_request: ARequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import CLIPSegForImageSegmentation

    looked: list[int] = []
    forward = CLIPSegForImageSegmentation.forward
    monkeypatch.setattr(CLIPSegForImageSegmentation, "forward", lambda *a, **k: looked.append(1) or forward(*a, **k))
    path, copy = save(tmp_path / "a.png", scene()), save(tmp_path / "b.png", scene())
    with closing(an_engine(clipseg)) as engine:
        first = events(engine, a_request(init_image=path, text_mask=("fire", 0.5)))
        again = events(engine, a_request(init_image=copy, text_mask=("fire", 0.3), seed=7))
        loading = [event.model for event in first if isinstance(event, Loading | Loaded)]
        assert loading[:2] == ["clipseg", "clipseg"]
        assert not any(isinstance(event, Loading) for event in again)
        assert len(looked) == 1
        events(engine, a_request(init_image=path, text_mask=("a cat", 0.5)))
        save(path, 255 - scene())
        events(engine, a_request(init_image=path, text_mask=("fire", 0.5)))
        assert len(looked) == 3


def test_clipseg_is_evicted_when_memory_is_short(
    clipseg: Path, a_request: ARequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = a_request(init_image=save(tmp_path / "a.png", scene()), text_mask=("fire", 0.5))
    with closing(an_engine(clipseg)) as engine:
        expected = make(engine, request)
        assert "clipseg" in engine.in_memory
        Broken(monkeypatch).decode(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
        events(engine, replace(request, seed=7))
        assert "clipseg" not in engine.in_memory
        assert np.array_equal(make(engine, request), expected)


def test_clipseg_is_loaded_only_for_text_masks(a_request: ARequest, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene())
    with closing(an_engine("/nowhere")) as engine:
        assert make(engine, a_request(init_image=path)).shape == (64, 64, 3)


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _another(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "clip"}', encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_without("config.json"), "config.json is missing"),
        (_without("preprocessor_config.json"), "cannot be loaded"),
        (_pickled, "model.safetensors is missing"),
        (_cut, "damaged or only partly downloaded"),
        (_another, "a model of type clip"),
    ],
)
def test_an_unusable_clipseg_is_refused(
    spoil: Callable[[Path], None], sentence: str, clipseg: Path, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.png", scene())
    folder = Path(shutil.copytree(clipseg, tmp_path / "spoilt"))
    spoil(folder)
    with closing(an_engine(folder)) as engine, pytest.raises(ModelError, match=sentence) as caught:
        list(engine.segment(str(path), "fire"))
    assert "\n" not in caught.value.message


def test_clipseg_is_not_downloaded_offline(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene())
    with closing(an_engine("CIDAS/clipseg-rd64-refined")) as engine, pytest.raises(InvokeError) as caught:
        list(engine.segment(str(path), "fire"))
    assert "this model is not on this disk and cannot be downloaded while offline" in caught.value.message

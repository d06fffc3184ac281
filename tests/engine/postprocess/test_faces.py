"""Detecting, aligning, repairing and pasting faces, each step separately."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

from invoke.engine.components.devices import Placement
from invoke.engine.postprocess.face_detection import find_eyes
from invoke.engine.postprocess.faces import EDGE, SIDE, TEMPLATE, FaceTool, alignment, cut_out, load_face_tool, put_back
from invoke.engine.process.pickles import Convert, convert
from invoke.errors import ModelError
from invoke.models import ModelSpec
from invoke.models.registry import recognise
from tests import tiny_faces, tiny_upscalers
from tests.drawn_faces import eyes_of, portrait
from tests.line_contexts import PICTURES

pytestmark = pytest.mark.skipif(
    find_spec("cv2") is None or find_spec("spandrel") is None, reason="the extra [faces] is not installed"
)


def load(path: Path) -> FaceTool:
    spec = ModelSpec(name=path.stem, weights=str(path), kind="face", family="auto")
    return load_face_tool(spec, Placement(torch.device("cpu"), torch.float32))


@pytest.fixture(scope="module")
def narrow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        tiny_faces.narrow_gfpgan(patch)
        yield


@pytest.fixture(scope="module")
def gfpgan(narrow: None, tmp_path_factory: pytest.TempPathFactory) -> FaceTool:
    return load(tiny_faces.save_gfpgan(tmp_path_factory.mktemp("faces") / "gfpgan.safetensors"))


# found


@pytest.mark.parametrize("tilt", [-15, -6, 0, 12, 18])
@pytest.mark.parametrize("size", [40, 100, 150])
def test_eyes_of_a_face_are_detected(size: float, tilt: float) -> None:
    (found,) = find_eyes(portrait(256, 320, (120, 140, size, tilt)))
    drawn = eyes_of(120, 140, size, tilt)
    assert max(abs(one - other) for one, other in zip(found, drawn, strict=True)) < 0.06 * size


def test_faces_of_any_size_are_found_largest_first() -> None:
    faces = (300, 400, 100, 0), (1200, 300, 200, 5)
    found = find_eyes(portrait(1600, 700, *faces))
    assert len(found) == 2
    for eyes, face in zip(found, reversed(faces), strict=True):
        assert abs(sum(eyes) - sum(eyes_of(*face))) < 0.1 * face[2]


def test_covered_eyes_are_assumed_at_their_usual_place() -> None:
    picture = portrait(256, 256, (128, 128, 120, 0)).copy()
    picture[108:130, 88:168] = (150, 108, 92)  # a band over both eyes
    found = find_eyes(picture)
    for left, right in found:
        assert abs((left + right) / 2 - (128 + 118j)) < 15
        assert (right - left).imag == 0
    assert found


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.png")), ids=lambda path: path.name)
def test_pictures_without_faces_give_none(path: Path) -> None:
    assert find_eyes(np.asarray(Image.open(path).convert("RGB"))) == ()


# aligning and pasting

points = st.builds(complex, st.floats(0, 120), st.floats(0, 80))
pairs = st.tuples(points, points).filter(lambda pair: abs(pair[0] - pair[1]) > 10)


@given(pairs)
def test_alignment_equals_that_of_opencv_for_two_points(eyes: tuple[complex, complex]) -> None:
    matrix = alignment(eyes)
    for eye, place in zip(eyes, TEMPLATE, strict=True):
        assert np.allclose(matrix @ (eye.real, eye.imag, 1), (place.real, place.imag), atol=1e-6)
    import cv2

    theirs, _ = cv2.estimateAffinePartial2D(
        np.array([[eye.real, eye.imag] for eye in eyes]), np.array([[eye.real, eye.imag] for eye in TEMPLATE])
    )
    assert np.allclose(matrix, theirs, rtol=1e-4, atol=1e-2)


@given(pairs, st.floats(0, 1), st.integers(0, 255))
def test_a_repaired_face_is_mixed_by_strength_inside_its_rim(
    eyes: tuple[complex, complex], strength: float, level: int
) -> None:
    picture = np.full((80, 120, 3), 100, np.uint8)
    matrix = alignment(eyes)
    mixed = put_back(picture, np.full((SIDE, SIDE, 3), level, np.uint8), matrix, strength).astype(float)
    across, down = np.meshgrid(np.arange(120), np.arange(80))
    places = np.einsum("ij,jyx->iyx", matrix, np.stack([across, down, np.ones_like(across)]))
    inside = ((places >= 2 * EDGE + 1) & (places <= SIDE - 2 * EDGE - 2)).all(axis=0)
    beyond = ((places < 0) | (places > SIDE - 1)).any(axis=0)
    assert np.abs(mixed[inside] - (100 + strength * (level - 100))).max(initial=0) <= 1
    assert (mixed[beyond] == 100).all()
    assert (np.abs(mixed - 100) <= strength * abs(level - 100) + 0.5).all()


def test_pasting_an_unchanged_face_changes_almost_nothing() -> None:
    picture = portrait(256, 256, (128, 128, 100, 9))
    matrix = alignment(find_eyes(picture)[0])
    again = put_back(picture, cut_out(picture, matrix), matrix, 1.0)
    assert np.abs(again.astype(int) - picture).max() <= 6  # it was turned, enlarged and shrunk again


def test_a_face_at_the_edge_is_repaired_within_the_picture() -> None:
    picture = portrait(256, 256, (60, 70, 110, 0))
    matrix = alignment(find_eyes(picture)[0])
    assert tuple(cut_out(picture, matrix)[0, 0]) == (132, 133, 135)
    white = put_back(picture, np.full((SIDE, SIDE, 3), 255, np.uint8), matrix, 1.0)
    assert (white[70, 60] == 255).all()
    assert np.array_equal(white[:, 200:], picture[:, 200:])


# repairing


def test_gfpgan_matches_the_original_code(gfpgan: FaceTool) -> None:
    face = cut_out(picture := portrait(256, 256, (128, 128, 90, 0)), alignment(find_eyes(picture)[0]))
    plane = (torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5
    output = gfpgan.network(plane, return_rgb=False, weight=0.5, randomize_noise=False)[0]
    theirs = ((output.clamp(-1, 1) + 1) / 2 * 255).round()[0].permute(1, 2, 0).numpy()
    assert np.abs(gfpgan.restored(face, 0.75) - theirs).max() <= 1
    assert theirs.std() > 10


def test_gfpgan_uses_the_noise_stored_in_its_file(gfpgan: FaceTool) -> None:
    face = np.full((SIDE, SIDE, 3), 128, np.uint8)
    state = torch.random.get_rng_state()
    once = gfpgan.restored(face, 0.75)
    assert np.array_equal(gfpgan.restored(face, 0.75), once)
    assert torch.equal(torch.random.get_rng_state(), state)
    plane = torch.zeros(1, 3, SIDE, SIDE)
    one, other = (gfpgan.network(plane)[0] for _ in range(2))
    assert not torch.equal(one, other)  # its default, which is random


def test_a_pickle_of_gfpgan_is_converted_and_loaded(narrow: None, gfpgan: FaceTool, tmp_path: Path) -> None:
    source, target = tiny_faces.save_gfpgan_pickle(tmp_path / "GFPGANv1.4.pth"), tmp_path / "GFPGANv1.4.safetensors"
    convert(Convert(source, target))
    face = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert np.array_equal(load(target).restored(face, 0.75), gfpgan.restored(face, 0.75))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("spandrel_extra_arches") is None, reason="it is not installed, and not to be depended on")
def test_codeformer_gets_the_fidelity(tmp_path: Path) -> None:
    tool = load(tiny_faces.save_codeformer(tmp_path / "codeformer.safetensors"))
    face = cut_out(picture := portrait(256, 256, (128, 128, 90, 0)), alignment(find_eyes(picture)[0]))
    quality, likeness = tool.restored(face, 0.0), tool.restored(face, 1.0)
    assert tool.reads_fidelity
    assert not np.array_equal(quality, likeness)


# recognised and refused


def test_face_models_are_recognised_by_their_tensors(tmp_path: Path) -> None:
    names = "GFPGANv1.4", "RestoreFormer"
    saved = [
        save(tmp_path / f"{name}.safetensors")
        for name, save in zip(names, (tiny_faces.save_gfpgan, tiny_faces.save_restoreformer), strict=True)
    ]
    specs = [recognise(str(path)) for path in saved]
    assert [spec and spec.kind for spec in specs] == ["face", "face"]


def refused(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(path)
    return caught.value


def test_a_network_that_does_not_repair_faces_is_refused(tmp_path: Path) -> None:
    assert "does not repair faces (ESRGAN)" in refused(tiny_upscalers.save_esrgan(tmp_path / "x4.safetensors")).message


def test_codeformer_must_be_installed_by_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"idx_pred_layer.1.weight": torch.zeros(3)}, tmp_path / "codeformer.safetensors")
    found: Any = find_spec
    monkeypatch.setattr(
        "invoke.engine.postprocess.spandrel_files.find_spec",
        lambda name: None if name == "spandrel_extra_arches" else found(name),
    )
    error = refused(tmp_path / "codeformer.safetensors")
    assert "this is CodeFormer, whose code is licensed for non-commercial use only" in error.message
    assert error.hint == "pip install --no-deps spandrel_extra_arches"


@pytest.mark.parametrize("missing", ["cv2", "spandrel"])
def test_missing_libraries_are_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_faces.save_gfpgan(tmp_path / "gfpgan.safetensors")
    module = {"cv2": "face_detection", "spandrel": "spandrel_files"}[missing]
    monkeypatch.setattr(f"invoke.engine.postprocess.{module}.find_spec", lambda name: None)
    assert refused(path).hint == "pip install 'invoke-shell[faces]'"


def test_weights_that_do_not_fit_are_refused(narrow: None, tmp_path: Path) -> None:
    state = load_file(tiny_faces.save_gfpgan(tmp_path / "gfpgan.safetensors"))
    del state["final_linear.weight"]
    save_file(state, tmp_path / "broken.safetensors")
    assert "network in this file is not supported" in refused(tmp_path / "broken.safetensors").message

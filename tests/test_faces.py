"""`-G`: a line in, a picture with repaired faces out."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from invoke.commands.verify import make_again
from invoke.errors import EngineError, InvokeError
from invoke.events import Postprocessing, Saved, Started, Step
from invoke.models import ModelSpec, Registry, read_registry
from invoke.outputs import metadata
from tests import tiny_faces
from tests.drawn_faces import portrait
from tests.line_contexts import PICTURES, a_context, plan
from tests.program import invoke
from tests.studio import Array, Studio, read_pixels

needs_faces = pytest.mark.skipif(
    find_spec("cv2") is None or find_spec("spandrel") is None, reason="the extra [faces] is not installed"
)


@pytest.fixture
def faces(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """A studio whose list has a small GFPGAN, with `portrait.png` in its output folder."""
    tiny_faces.narrow_gfpgan(monkeypatch)
    tiny_faces.save_gfpgan(tmp_path / "GFPGANv1.4.safetensors")
    listed = f"gfpgan: {{weights: {tmp_path / 'GFPGANv1.4.safetensors'}, kind: face}}"
    (tmp_path / "models.yaml").write_text(listed, encoding="utf-8")
    studio = Studio(tiny_model, tmp_path / "outputs", models_file=tmp_path / "models.yaml")
    studio.outdir.mkdir()
    Image.fromarray(portrait(320, 256, (120, 130, 80, 5))).save(studio.outdir / "portrait.png")
    with closing(studio.session.engine):
        yield studio


def before(studio: Studio) -> Array:
    return read_pixels(studio.outdir / "portrait.png")


SAME = "a man -S 3 -I portrait.png -f 0"
"""The picture with the face as it is."""


# what is planned


def test_facetool_defaults_to_the_first_face_model() -> None:
    other = ModelSpec(name="other", weights="other.safetensors", kind="face")
    context = replace(a_context(), models=Registry({spec.name: spec for spec in (*a_context().models, other)}))
    assert plan("a cat -G 0.8", context).picture(0).request.facetool == "gfpgan"
    assert plan("a cat -G 0.8 -ft other", context).picture(0).request.facetool == "other"
    assert plan("a cat -G 0.8 -ft other", context).summary[-1] == "faces  repaired at strength 0.8 (other)"


def test_old_facetool_lines_keep_their_meaning() -> None:
    request = plan("a cat -G 0.8 -ft gfpgan -U 2.0 0.75").picture(0).request
    assert (request.facetool_strength, request.facetool, request.upscale) == (0.8, "gfpgan", (2.0, 0.75))


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("a cat -ft gfpgan", "-ft has no effect without -G"),
        ("a cat -cf 0.5", "-cf has no effect without -G"),
        ("a cat -G 0 -ft gfpgan", "-ft has no effect without -G"),
    ],
)
def test_face_switches_without_effect_are_noted(line: str, note: str) -> None:
    planned = plan(line)
    assert note in planned.notes
    assert planned.picture(0).request == planned.picture(0).request.unfinished


@pytest.mark.parametrize(
    ("line", "sentence", "column"),
    [
        ("a cat -G 0.8", "the list has no model for faces", 9),
        ("a cat -G 0.8 -ft gfpgan", "no model for faces is called 'gfpgan'", 17),
        ("a cat -G 0.8 -ft real-esrgan-x4", "real-esrgan-x4: this is an upscaler; use it with -U", 17),
        ("a cat -G 1.5", "-G/--facetool_strength must be between 0 and 1, not 1.5", 9),
    ],
)
def test_impossible_face_lines_are_refused_when_planned(line: str, sentence: str, column: int) -> None:
    with pytest.raises(InvokeError) as caught:
        plan(line, replace(a_context(), models=read_registry()))
    assert sentence in caught.value.message
    assert caught.value.column == column


# what is made


@needs_faces
def test_only_the_face_is_redrawn(faces: Studio) -> None:
    made = faces.make(f"{SAME} -G 1")
    changed = (made.pixels != before(faces)).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert made.notes == ["1 face found"]
    assert changed[130, 120]
    assert 100 < columns.max() - columns.min() < 140  # 1.5 times as wide as the face, which leans
    assert 0 <= rows.min() < 80
    assert not changed[:, 240:].any()


@needs_faces
def test_strength_mixes_original_and_repaired_face(faces: Studio) -> None:
    plain, full = before(faces).astype(float), faces.make(f"{SAME} -G 1").pixels.astype(float)
    assert np.abs(faces.make(f"{SAME} -G 0.3").pixels - (plain + 0.3 * (full - plain))).max() <= 1
    assert np.array_equal(faces.make(f"{SAME} -G 0").pixels, plain)


@needs_faces
def test_a_generated_picture_without_faces_is_unchanged(faces: Studio) -> None:
    line = "a fire -W 64 -H 64 -S 3"
    made = faces.make(f"{line} -G 1")
    assert made.notes == ["no faces found: -G leaves the picture unchanged"]
    assert np.array_equal(made.pixels, faces.make(line).pixels)
    (started,) = (event for event in made.events if isinstance(event, Started))
    assert started.total == 5
    assert [event.index for event in made.events if isinstance(event, Step)] == [0, 1, 2, 3, 4, 5]


@needs_faces
def test_faces_are_repaired_before_the_picture_is_enlarged(faces: Studio) -> None:
    repaired = faces.make(f"{SAME} -G 1").pixels
    larger = Image.fromarray(repaired).resize((640, 512), Image.Resampling.LANCZOS)
    assert np.array_equal(faces.make(f"{SAME} -G 1 -U 2 0").pixels, np.asarray(larger))


@needs_faces
def test_the_next_part_of_a_chain_starts_from_the_repaired_picture(faces: Studio) -> None:
    made = faces.make(f"{SAME} -G 1 |> a man -S 4 -f 0")
    assert np.array_equal(read_pixels(made.images[1].path), read_pixels(made.images[0].path))
    assert not np.array_equal(made.pixels, before(faces))


@needs_faces
def test_a_repaired_picture_is_reproduced_from_its_line_and_file(faces: Studio) -> None:
    made = faces.make(f"{SAME} -G 0.8")
    assert "-G 0.8 -ft gfpgan" in made.line
    assert np.array_equal(faces.make(made.line).pixels, made.pixels)
    recipe = metadata.read(made.path)
    assert recipe is not None
    assert recipe.facts is not None
    assert "face gfpgan" in recipe.facts.hashes
    assert [getattr(each, "kind", None) for each in make_again(faces.session.engine, made.path)][-1] == "same"


@needs_faces
def test_save_original_keeps_the_picture_before_repair(faces: Studio) -> None:
    made = faces.make(f"{SAME} -G 1 -save_orig")
    (original,) = made.files("original")
    assert np.array_equal(read_pixels(original), before(faces))
    (drawn,) = (event.picture for event in made.events if isinstance(event, Postprocessing))
    assert drawn.request.facetool is None


@needs_faces
def test_fidelity_has_an_effect_only_with_codeformer(faces: Studio) -> None:
    assert "-cf has no effect: gfpgan is not CodeFormer" in faces.make(f"{SAME} -G 1 -cf 0.2").notes


@needs_faces
def test_out_of_memory_during_repair_keeps_the_picture(faces: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("invoke.engine.postprocess.faces.cut_out", fail)
    saved = []
    with pytest.raises(EngineError, match="out of memory while the picture's faces were repaired"):
        saved.extend(event for event in faces.session.submit(f"{SAME} -G 1 -U 2 0") if isinstance(event, Saved))
    assert np.array_equal(read_pixels(faces.session.made[-1].path), before(faces))


@needs_faces
def test_a_face_model_is_accepted_by_its_path(faces: Studio, tmp_path: Path) -> None:
    other = tiny_faces.save_gfpgan(tmp_path / "other.safetensors", seed=9)
    named = faces.make(f"{SAME} -G 1 -ft {other}")
    assert not np.array_equal(named.pixels, faces.make(f"{SAME} -G 1").pixels)
    assert named.images[0].request is not None
    assert named.images[0].request.facetool == str(other)


# finished pictures


@needs_faces
def test_fix_repairs_a_finished_picture_and_names_the_result_after_it(faces: Studio) -> None:
    fixed = faces.fix("!fix portrait.png -G 1")
    assert Path(fixed.path).name == "portrait.faces.png"
    assert np.array_equal(fixed.pixels, faces.make(f"{SAME} -G 1").pixels)
    both = faces.fix("!fix portrait.png -G 1 -U 2 0")
    assert Path(both.path).name == "portrait.faces-01.png"
    assert both.pixels.shape == (512, 640, 3)


@needs_faces
def test_only_a_photograph_with_a_redrawn_face_is_labelled(faces: Studio) -> None:
    def is_labelled(line: str) -> bool:
        return b"compositeWithTrainedAlgorithmicMedia" in Path(faces.fix(line).path).read_bytes()

    assert is_labelled("!fix portrait.png -G 1")
    assert not is_labelled(f"!fix {PICTURES / 'fire-drawing.png'} -G 1")


@needs_faces
@pytest.mark.slow
def test_the_program_repairs_a_face(tmp_path: Path) -> None:
    file = tiny_faces.save_restoreformer(tmp_path / "RestoreFormer.safetensors")
    (tmp_path / "models.yaml").write_text(f"restoreformer: {{weights: {file}, kind: face}}")
    Image.fromarray(portrait(200, 200, (100, 100, 80, 0))).save(tmp_path / "face.png")
    done = invoke(
        *("--config", tmp_path / "models.yaml", "-o", tmp_path, "--device", "cpu", "--from_file", "-"),
        stdin=f"!fix {tmp_path / 'face.png'} -G 0.5\na cottage -s 2 -G 0.5 -S 5\n",
    )
    assert done.paths == [str(tmp_path / "face.faces.png"), str(tmp_path / "000002.5.png")]
    assert "1 face found" in done.stderr
    assert "no faces found" in done.stderr
    assert done.status == 0

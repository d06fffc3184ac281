"""Sizes: a usable range for each model, advice that keeps the shape, one size for all pictures of a line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invoke.errors import InvokeError
from invoke.models import ModelSpec
from tests.line_contexts import PICTURES, plan

SKETCH = PICTURES / "tree-and-river-sketch.png"


def picture(path: Path, width: int, height: int) -> Path:
    Image.new("RGB", (width, height), (90, 120, 60)).save(path)
    return path


def advice(line: str) -> list[str]:
    return [note for note in plan(line).notes if "draws well" in note]


@pytest.mark.parametrize(
    ("line", "note"),
    [
        (f"a tree -I {SKETCH}", "takes at least 3 times the time and memory of 256×256: type --fit -W 256"),
        ("a tree -W 512 -H 384", "times the time and memory of 256×256: type -W 256 -H 192"),
        ("a tree -W 384 -H 512", "type -W 192 -H 256"),
        (
            "a tree -W 128 -H 96",
            "128×96 is below the sizes that pocket draws well (192 to 320 a side): type -W 256 -H 192",
        ),
        ("a tree -W 8192 -H 8192", "takes at least 1000 times the time and memory"),
        (f"a tree -I {SKETCH} -W 128 -H 96", "type -W 256 alone"),
        (f"a tree -I {SKETCH} -W 128", "type -W 256"),
        ("a tree -W 80 -H 320", "type -W 192 -H 320, the longest shape that it draws well"),
        ("a tree -W 1024", "type -W 320 -H 192, the longest shape"),
        ("a tree -m sd-1.5 -W 1024 -H 1024", "draws well (384 to 768 a side), and takes at least 4 times"),
    ],
)
def test_a_size_that_a_model_draws_badly_gets_advice(line: str, note: str) -> None:
    (found,) = advice(line)
    assert note in found


@pytest.mark.parametrize(
    "line",
    [
        "a tree",
        "a tree -W 320 -H 192",
        f"a tree -I {SKETCH} -H 192",
        f"a tree -I {SKETCH} -f 0",
        "a tree -m sd-1.5 -W 512 -H 768",
        "a tree -m sd-1.5 -W 512 -H 384",
    ],
)
def test_a_size_that_a_model_draws_well_gets_no_advice(line: str) -> None:
    assert advice(line) == []


@pytest.mark.parametrize(("width", "height"), [(4032, 3024), (3024, 4032), (100, 80), (512, 384), (1000, 700)])
def test_advised_sizes_keep_the_shape_and_need_no_advice(width: int, height: int, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", width, height)
    (note,) = advice(f"a tree -I {path} -W {max(64, width // 16 * 16)}")
    typed = note.rpartition("type ")[2].removesuffix(" alone")
    line = f"a tree -I {path} {typed}"
    assert advice(line) == []
    request = plan(line).picture(0).request
    assert request.width / request.height == pytest.approx(width / height, rel=0.1)


def test_an_entry_can_set_its_range_of_sizes() -> None:
    own, usual = ModelSpec(name="a", weights="a", min_side=200, max_side=300), ModelSpec(name="b", weights="b")
    assert (own.draws_well(200, 300), own.draws_well(199, 250), own.draws_well(250, 301)) == (True, False, False)
    assert (usual.draws_well(512, 768), usual.draws_well(768, 768), usual.draws_well(383, 512)) == (True, False, False)


@pytest.mark.parametrize("sweep", ["strength=0,0.5", "strength=0.5,0", "strength=0,0.3,1"])
def test_all_pictures_of_a_line_have_one_size(sweep: str, tmp_path: Path) -> None:
    """P10: 203×149 beside 192×144 on one sheet."""
    path = picture(tmp_path / "a.png", 203, 149)
    sizes = {planned.request.finished_size for planned in plan(f"a tree -I {path} --sweep {sweep}").pictures()}
    assert sizes == {(192, 144)}
    assert plan(f"a tree -I {path} -f 0").picture(0).request.finished_size == (203, 149)


def test_models_of_a_sweep_are_rounded_to_a_common_multiple(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 216, 200)
    sizes = {planned.request.size for planned in plan(f"a tree -I {path} --sweep model=pocket,sd-1.5").pictures()}
    assert sizes == {(208, 192)}


def holed(path: Path, alpha: np.ndarray, level: int = 0) -> Path:
    Image.fromarray(np.dstack([np.full((*alpha.shape, 3), level), alpha]).astype(np.uint8)).save(path)
    return path


def test_a_wholly_erased_picture_is_refused_when_planned(tmp_path: Path) -> None:
    path = holed(tmp_path / "a.png", np.zeros((256, 256)))
    with pytest.raises(InvokeError, match="nothing to start from") as caught:
        plan(f"a tree -I {path} -f 0.3")
    assert (caught.value.column, caught.value.hint) == (10, "-f 1 paints all of it, like a line without -I")
    assert plan(f"a tree -I {path} -f 1").count == 1
    assert plan(f"a tree -I {path} -f 0").count == 1


def test_the_summary_shows_the_share_of_the_mask(tmp_path: Path) -> None:
    grey = np.full((256, 256), 255, np.uint8)
    grey[:64] = 0
    Image.fromarray(grey).save(tmp_path / "m.png")
    line = f"a tree -I {picture(tmp_path / 'a.png', 256, 256)} -M {tmp_path / 'm.png'}"
    assert "inpainting 25 % of the picture (where m.png is black)" in plan(line).summary
    assert "inpainting 75 % of the picture (where m.png is white)" in plan(f"{line} --invert_mask").summary


@pytest.mark.parametrize("stray", [254, 249, 0])
def test_stray_transparency_of_a_mask_is_ignored_with_a_note(stray: int, tmp_path: Path) -> None:
    alpha = np.full((256, 256), 255)
    alpha[0, 0] = stray
    mask = holed(tmp_path / "m.png", alpha)
    made = plan(f"a tree -I {picture(tmp_path / 'a.png', 256, 256)} -M {mask}")
    assert any(line.startswith("inpainting 100 %") for line in made.summary)
    output = any("of this mask is transparent; this is ignored" in note for note in made.notes)
    assert output == (stray < 250)


@pytest.mark.parametrize(("alpha", "share"), [(254, None), (250, None), (249, "2 %"), (128, "50 %"), (0, "100 %")])
def test_the_repainted_share_is_the_mean_transparency(alpha: int, share: str | None, tmp_path: Path) -> None:
    levels = np.full((256, 256), alpha)
    Image.fromarray(
        np.dstack([np.random.default_rng(0).integers(0, 256, (256, 256, 3)), levels]).astype(np.uint8)
    ).save(tmp_path / "a.png")
    summary = " · ".join(plan(f"a tree -I {tmp_path / 'a.png'}").summary)
    assert (f"inpainting {share} of the picture" in summary) if share else ("inpaint" not in summary)


@pytest.mark.parametrize(
    ("width", "height", "is_drawn"),
    [(64, 64, True), (64, 8192, True), (56, 64, False), (512, 40, False), (40, 512, False), (64, 8232, False)],
)
def test_each_side_of_a_picture_must_be_in_range(width: int, height: int, is_drawn: bool, tmp_path: Path) -> None:
    """One invalid side is enough."""
    path = picture(tmp_path / "init.png", width, height)
    if is_drawn:
        assert plan(f"a tree -I {path}").picture(0).request.size == (width, height)
        return
    with pytest.raises(InvokeError, match=r"the picture would be .*; each side needs 64 to 8192 pixels") as caught:
        plan(f"a tree -I {path}")
    assert caught.value.code == "bad_size"

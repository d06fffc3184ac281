"""`!fix`: finished pictures enlarged and extended."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invoke.errors import InvokeError
from invoke.outputs import metadata
from tests.line_contexts import PICTURES
from tests.program import forked, invoke
from tests.studio import Result, Studio, read_pixels

DRAWING = PICTURES / "fire-drawing.png"
"""Not one of ours: 384 × 384."""


@pytest.fixture
def large(tiny_model: Path, tmp_path: Path, upscalers: Path) -> Iterator[Studio]:
    """A studio that can enlarge, with one picture made."""
    studio = Studio(tiny_model, tmp_path / "outputs", models_file=upscalers)
    with closing(studio.session.engine):
        studio.make("a fire [smoke] -W 64 -H 64 -S 3")
        yield studio


def names(made: Result) -> list[str]:
    return [Path(image.path).name for image in made.images]


def test_fix_is_a_line_from_the_picture_at_strength_0(large: Studio) -> None:
    fixed = large.fix("!fix 000001.3.png -U 2")
    assert np.array_equal(fixed.pixels, large.make(fixed.line).pixels)
    first = large.session.made[0].path
    same = large.make(f"a fire [smoke] -S 3 -I {first} -f 0 -U 2 -A pndm -C 9")
    assert np.array_equal(fixed.pixels, same.pixels)


def test_fix_takes_prompt_and_seed_from_the_picture(large: Studio) -> None:
    fixed = large.fix("!fix 000001.3.png -U 2").images[0].request
    assert fixed is not None
    assert (fixed.prompt, fixed.seed, fixed.strength) == ("a fire [smoke]", 3, 0)
    changed = large.fix("!fix 000001.3.png -U 2 --new_prompt 'a tree' -S 8").images[0].request
    assert changed is not None
    assert (changed.prompt, changed.seed) == ("a tree", 8)


def test_fix_records_the_parent(large: Studio) -> None:
    recipe = metadata.read(large.fix("!fix 000001.3.png -U 2").path)
    assert recipe is not None
    assert recipe.parent is not None
    assert recipe.parent.request == large.session.plan("a fire [smoke] -W 64 -H 64 -S 3").picture(0).request


def test_fix_names_results_after_picture_and_tool(large: Studio, tmp_path: Path) -> None:
    assert names(large.fix("!fix 000001.3.png -U 2")) == ["000001.3.upscaled.png"]
    assert names(large.fix("!fix 000001.3.png -U 2")) == ["000001.3.upscaled-01.png"]
    assert names(large.fix("!fix 000001.3.upscaled-01.png -c top 8 -f 0.5")) == ["000001.3.outcrop.png"]
    odd = tmp_path / "my {odd} picture.png"
    odd.write_bytes(DRAWING.read_bytes())
    assert names(large.fix(f"!fix {odd} -U 2 0")) == ["my {odd} picture.upscaled.png"]
    assert all(Path(made.path).parent == large.outdir for made in large.session.made)


def test_fix_keeps_every_pixel_at_any_size(large: Studio, tmp_path: Path) -> None:
    Image.fromarray(read_pixels(DRAWING)[:101, :83]).save(tmp_path / "odd.png")
    fixed = large.fix(f"!fix {tmp_path / 'odd.png'} -U 2")
    assert fixed.pixels.shape == (202, 166, 3)


@pytest.mark.parametrize("how", ["-U 2", "-U 2 0", "-U 4"])
def test_fix_enlarges_transparency(large: Studio, tmp_path: Path, how: str) -> None:
    picture = Image.fromarray(read_pixels(DRAWING)[:37, :53])
    alpha = Image.linear_gradient("L").resize(picture.size)
    picture.putalpha(alpha)
    picture.save(tmp_path / "alpha.png")
    fixed = Image.open(large.fix(f"!fix {tmp_path / 'alpha.png'} {how}").path)
    factor = int(how.split()[1])
    assert (fixed.mode, fixed.size) == ("RGBA", (53 * factor, 37 * factor))
    wanted = alpha.resize(fixed.size, Image.Resampling.LANCZOS)
    apart = np.asarray(fixed.getchannel("A")).astype(int) - np.asarray(wanted)
    assert abs(apart).max() <= 6, "but for what is nearly opaque, which is opaque"


def test_fix_with_outcrop_redraws_only_the_new_part(large: Studio) -> None:
    before = read_pixels(large.session.made[0].path)
    fixed = large.fix("!fix 000001.3.png -c top 8 right 16")
    assert np.array_equal(fixed.pixels[8:, :64], before)
    assert fixed.calls > 0
    assert large.fix("!fix 000001.3.png -c top 8 -U 2").pixels.shape == (144, 128, 3)


def test_fix_accepts_several_pictures_and_patterns(large: Studio) -> None:
    large.make("a tree -W 64 -H 64 -S 5")
    assert names(large.fix("!fix 0*.png -U 2 0")) == ["000001.3.upscaled.png", "000002.5.upscaled.png"]
    both = large.fix(f'!fix {DRAWING} "000001.3.png" -U 2 0')
    assert names(both) == ["fire-drawing.upscaled.png", "000001.3.upscaled-01.png"]
    assert names(large.fix("!fix -1 -U 2 0")) == ["000001.3.upscaled-02.png"]


def test_fix_applies_only_finishing_launch_defaults(large: Studio, tmp_path: Path) -> None:
    large.session.defaults |= {"iterations": 3, "width": 128, "strength": 0.3, "png_compression": 0, "grid": True}
    made = large.fix("!fix 000001.3.png -U 2")
    assert made.pixels.shape == (128, 128, 3)
    assert len(made.images) == 1
    assert Path(made.path).stat().st_size > made.pixels.size


@pytest.mark.parametrize(
    ("line", "sentence", "column"),
    [
        ("!fix", "!fix needs a picture", 4),
        ("!fix -U 2", "!fix needs a picture", 5),
        ("!fix 000001.3.png", "!fix does not know what to do with the picture", 0),
        ("!fix nothing.png -U 2", "nothing.png: there is no such picture", 5),
        ("!fix -7 -U 2", "picture -7: only 1 picture was made in this session", 5),
        (f"!fix {__file__} -U 2", "this file is not a readable picture", 5),
        ("!fix 000001.3.png -U 2 -n 3", "-n/--iterations cannot be used in !fix", 23),
        ("!fix 000001.3.png -U 2 -f 0.4", "-f/--strength cannot be used without -c or -embiggen", 23),
        ("!fix 000001.3.png -U 2 -W 512", "-W/--width cannot be used in !fix", 23),
        ("!fix 000001.3.png -U 2 -save_orig", "-save_orig/--save_original cannot be used in !fix", 23),
        ("!fix 000001.3.png -U 3", "-U 3: the factor must be 2, 4 or 8", 21),
    ],
)
def test_fix_refuses_invalid_arguments(large: Studio, line: str, sentence: str, column: int) -> None:
    with pytest.raises(InvokeError) as caught:
        large.fix(line)
    assert sentence in caught.value.message
    assert caught.value.column == column


def test_fix_labels_photographs_enlarged_by_a_model_only(large: Studio) -> None:
    def label(switch: str) -> bool:
        path = large.fix(f"!fix {DRAWING} {switch}").path
        return b"compositeWithTrainedAlgorithmicMedia" in Path(path).read_bytes()

    assert label("-U 2")
    assert not label("-U 2 0")


def test_fix_works_in_a_file_of_lines(tmp_path: Path) -> None:
    lines = ["a cottage -s 2 -S 5", "!fix 000001.5.png -U 1.5 0", "!fix 000001.5.png", "!fix 000001.5.png -U 2 0"]
    done = invoke("-o", tmp_path, "-q", "--from_file", "-", stdin="\n".join(lines))
    assert done.paths == [str(tmp_path / f"000001.5{end}.png") for end in ("", ".upscaled", ".upscaled-01")]
    assert done.status == 1
    assert "line 3, column 1: error: !fix does not know what to do" in done.stderr
    assert read_pixels(done.paths[1]).shape == (384, 384, 3)


def test_fix_in_json_prints_the_plan(tmp_path: Path) -> None:
    done = forked("--dry-run", "--json", "-o", tmp_path, f"!fix {DRAWING} -U 4 0.5")
    (planned,) = done.of_type("plan")
    assert planned["prompt"] == str(DRAWING)
    assert planned["switches"] == {"upscale": [4.0, 0.5], "outdir": str(tmp_path)}
    assert (planned["images"][0]["width"], planned["images"][0]["height"]) == (1536, 1536)
    assert not list(tmp_path.iterdir())

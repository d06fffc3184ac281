"""The promises of the engine (spec, section 5), end to end: a line in, a picture out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invoke.errors import EngineError, InvokeError, PictureError
from invoke.events import Step
from invoke.images import open_picture, prepare
from invoke.outputs import metadata
from tests.line_contexts import PICTURES
from tests.studio import Array, Studio, read_pixels

FIRE = f"-I {PICTURES / 'fire-drawing.png'} -W 64 -H 64"
HOLE = f"-I {PICTURES / 'photo-with-hole.png'} -W 80 -H 64"


# strength


def test_strength_0_gives_the_original(studio: Studio) -> None:
    original = prepare(open_picture(PICTURES / "fire-drawing.png").image, 64, 64)
    made = studio.make(f"a cat {FIRE} -f 0")
    assert np.array_equal(made.pixels, np.asarray(original))
    assert made.calls == 0


def test_strength_1_gives_the_text_to_image_picture(studio: Studio) -> None:
    with_it = studio.make(f"a cat {FIRE} -f 1 -S 5")
    without = studio.make("a cat -W 64 -H 64 -S 5")
    assert np.array_equal(with_it.pixels, without.pixels)


@pytest.mark.parametrize(("line", "taken"), [("-s 10 -f 0.7", 7), ("-s 10 -f 0.4", 4), ("-s 10 -f 0.7 -A k_heun", 13)])
def test_the_planned_number_of_steps_is_taken(studio: Studio, line: str, taken: int) -> None:
    made = studio.make(f"fire {FIRE} {line}")
    facts = made.images[0].facts
    assert facts is not None
    assert made.calls == facts.steps_taken == taken


# seeds


def test_the_same_line_makes_the_same_picture_under_the_next_number(studio: Studio) -> None:
    first, second = studio.make(f"fire {FIRE} -S 7"), studio.make(f"fire {FIRE} -S 7")
    assert [Path(made.path).name for made in (first, second)] == ["000001.7.png", "000002.7.png"]
    assert np.array_equal(first.pixels, second.pixels)


def test_the_third_picture_of_a_line_equals_its_seed_made_alone(studio: Studio) -> None:
    three = studio.make(f"fire {FIRE} -S 7 -n 3 -A k_euler_a")
    alone = studio.make(f"fire {FIRE} -S 9 -A k_euler_a")
    assert np.array_equal(read_pixels(three.images[2].path), alone.pixels)


def test_another_seed_makes_another_picture(studio: Studio) -> None:
    assert not np.array_equal(studio.make(f"fire {FIRE} -S 1").pixels, studio.make(f"fire {FIRE} -S 2").pixels)


@pytest.mark.parametrize(
    "line",
    [
        "fire -W 64 -H 64",
        f"fire {FIRE} -f 0.3 -A k_dpmpp_2 --karras",
        f"a hole {HOLE} --infill blur -r 0.5",
        "fire -W 64 -H 64 -V 3:0.2,4:0.5",
        "two words [not these] -W 72 -H 64 -C 1",
    ],
)
def test_the_saved_line_makes_the_picture_again_whatever_the_defaults(
    studio: Studio, tiny_model: Path, tmp_path: Path, line: str
) -> None:
    made = studio.make(line)
    elsewhere = Studio(
        tiny_model, tmp_path / "again", {"steps": 9, "fit": True, "karras": True, "iterations": 3, "strength": 0.1}
    )
    again = elsewhere.make(made.line)
    assert len(again.images) == 1
    assert np.array_equal(made.pixels, again.pixels)
    assert again.line == made.line


def test_a_variation_is_reproduced_from_its_own_line(studio: Studio) -> None:
    made = studio.make("fire -W 64 -H 64 -S 7 -v 0.3 -n 2")
    again = studio.make(made.images[1].line)
    assert np.array_equal(read_pixels(made.images[1].path), again.pixels)
    assert not np.array_equal(made.pixels, again.pixels)


def test_variations_of_a_picture_start_from_the_first_result(studio: Studio) -> None:
    made = studio.make(f"fire {FIRE} -S 7 -v 0.5 -n 2")
    assert len(made.images) == 3
    second = made.images[1]
    assert second.request is not None
    assert second.request.init_image == made.path
    again = studio.make(second.line)
    assert np.array_equal(read_pixels(second.path), again.pixels)


# prompts


def test_a_negative_prompt_can_stand_in_brackets(studio: Studio) -> None:
    brackets = studio.make("a cat [the fire] -W 64 -H 64 -S 1")
    switch = studio.make('a cat -W 64 -H 64 -S 1 --negative_prompt "the fire"')
    plain = studio.make("a cat -W 64 -H 64 -S 1")
    assert np.array_equal(brackets.pixels, switch.pixels)
    assert not np.array_equal(brackets.pixels, plain.pixels)


def test_without_guidance_the_prompt_still_counts(studio: Studio) -> None:
    cat, fire = (studio.make(f"{word} -C 1 -W 64 -H 64 -S 1").pixels for word in ("cat", "fire"))
    assert not np.array_equal(cat, fire)


# holes


def _with_hole() -> tuple[Array, Array]:
    """The prepared picture of HOLE, and its opaque part."""
    picture = open_picture(PICTURES / "photo-with-hole.png")
    assert picture.alpha is not None
    original = np.asarray(prepare(picture.image, 80, 64, picture.alpha))
    return original, np.asarray(prepare(picture.alpha, 80, 64)) == 255


def test_opaque_pixels_are_kept_bit_for_bit(studio: Studio) -> None:
    original, opaque = _with_hole()
    made = studio.make(f"a cat {HOLE} -f 1").pixels
    assert np.array_equal(made[opaque], original[opaque])
    assert not np.array_equal(made[~opaque], original[~opaque])


def test_a_mask_decides_what_is_repainted(studio: Studio, tmp_path: Path) -> None:
    mask = Image.new("L", (384, 384), 255)
    mask.paste(0, (0, 0, 192, 384))
    mask.save(tmp_path / "mask.png")
    original = np.asarray(prepare(open_picture(PICTURES / "fire-drawing.png").image, 64, 64))
    made = studio.make(f"a cat {FIRE} -f 1 -M {tmp_path / 'mask.png'}").pixels
    inverted = studio.make(f"a cat {FIRE} -f 1 -M {tmp_path / 'mask.png'} --invert_mask").pixels
    assert np.array_equal(made[:, 36:], original[:, 36:])
    assert np.array_equal(inverted[:, :28], original[:, :28])
    assert not np.array_equal(made[:, :28], original[:, :28])


# files


def test_the_metadata_in_the_file_equals_the_request(studio: Studio) -> None:
    made = studio.make(f"fire [smoke] {FIRE} -S 7 -f 0.5")
    recipe = metadata.read(made.path)
    assert recipe is not None
    assert recipe.request == made.images[0].request
    assert recipe.line == made.line


def test_save_intermediates_saves_every_step(studio: Studio) -> None:
    made = studio.make(f"fire {FIRE} -s 10 -f 0.4 -S 7 --save_intermediates 1 --strip --gif")
    names = [Path(path).name for path in made.files("step")]
    assert names == [f"step-{index:04}.png" for index in range(5)]
    assert Path(made.files("step")[0]).parent == studio.outdir / "intermediates" / "000001.7"
    assert [Path(path).name for path in made.files("steps") + made.files("gif")] == [
        "000001.7.steps.png",
        "000001.7.steps.gif",
    ]


@pytest.mark.parametrize("kind", ["", "--intermediates clean", "--intermediates_decoder vae"])
def test_steps_have_the_size_of_the_picture_and_the_strip_ends_with_it(studio: Studio, kind: str) -> None:
    made = studio.make(f"fire {FIRE} -W 80 -s 4 -f 0.5 -S 7 --save_intermediates 1 --strip --gif {kind}")
    assert {read_pixels(path).shape for path in made.files("step")} == {(64, 80, 3)}
    assert np.array_equal(read_pixels(made.files("step")[-1]), made.pixels) == ("vae" in kind)
    assert np.array_equal(read_pixels(made.files("steps")[0])[4:68, -84:-4], made.pixels)
    with Image.open(made.files("gif")[0]) as gif:
        assert (gif.size, getattr(gif, "n_frames", 1)) == ((80, 64), 3)


@pytest.mark.parametrize("line", ["fire -W 640 -H 512 --hires_fix -s 2", f"fire {FIRE} -c right 20"])
def test_steps_have_the_size_of_the_picture_for_any_size_of_latents(studio: Studio, line: str) -> None:
    made = studio.make(f"{line} --save_intermediates 1 --gif")
    assert {read_pixels(path).shape for path in made.files("step")} == {made.pixels.shape}
    with Image.open(made.files("gif")[0]) as gif:
        assert gif.size == made.pixels.shape[1::-1]


def test_the_picture_is_the_same_with_and_without_steps(studio: Studio) -> None:
    line = f"fire {FIRE} -S 7 -A k_euler_a"
    alone = studio.make(line).pixels
    for kept in ("--save_intermediates 1", "--strip --intermediates clean", "--gif --intermediates_decoder vae"):
        made = studio.make(f"{line} {kept}")
        assert np.array_equal(made.pixels, alone)
        assert made.line == studio.make(line).line


def test_previews_do_not_change_which_steps_are_saved(studio: Studio) -> None:
    """`--save_intermediates` and the strip are the same with and without previews."""
    for kept, steps in (("--save_intermediates 0", 0), ("--save_intermediates 5 --strip", 3)):
        line = f"fire {FIRE} -s 10 -f 1 -S 7 {kept}"
        studio.session.watched = False
        alone = studio.make(line)
        studio.session.watched = True
        made = studio.make(line)
        assert sum(isinstance(event, Step) and event.image is not None for event in made.events) == 11
        assert np.array_equal(made.pixels, alone.pixels)
        assert len(made.files("step")) == len(alone.files("step")) == steps
        for path, other in zip(made.files("steps"), alone.files("steps"), strict=True):
            assert np.array_equal(read_pixels(path), read_pixels(other))


def test_step_0_shows_the_original_with_its_noise(studio: Studio) -> None:
    """At a low strength little noise is added, so the first frame is close to the result."""
    kept = {}
    for strength in (0.1, 0.9):
        made = studio.make(f"fire {FIRE} -s 20 -f {strength} -S 7 --save_intermediates 1")
        kept[strength] = read_pixels(made.files("step")[0]).astype(float)
    clean = read_pixels(studio.make(f"fire {FIRE} -s 100 -f 0.01 -S 7 --save_intermediates 1").files("step")[0])
    assert np.abs(kept[0.1] - clean).mean() < np.abs(kept[0.9] - clean).mean()


def test_grid_saves_a_sheet_of_the_line(studio: Studio) -> None:
    made = studio.make(f"fire {FIRE} -n 4 -g")
    assert [Path(path).name for path in made.files("grid")] == ["000001.grid.png"]
    with Image.open(made.files("grid")[0]) as sheet:
        assert sheet.width >= 2 * 64
        assert sheet.height >= 2 * 64


def test_a_sweep_writes_each_picture_and_a_sheet(studio: Studio) -> None:
    made = studio.make(f"fire {FIRE} --sweep strength=0,0.5,1 -S 7")
    assert [Path(image.path).name for image in made.images] == ["000001.7.png", "000001.7-01.png", "000001.7-02.png"]
    assert [Path(path).name for path in made.files("sweep")] == ["000001.sweep.png"]


def test_a_sweep_of_models_draws_with_each(studio: Studio) -> None:
    models = studio.session.model, "pocket"
    swept = studio.make(f"fire {FIRE} -S 7 -s 2 --sweep model={','.join(models)}")
    for image, model in zip(swept.images, models, strict=True):
        assert np.array_equal(read_pixels(image.path), studio.make(f"fire {FIRE} -S 7 -s 2 -m {model}").pixels)


# errors


def test_stopping_keeps_finished_pictures_and_the_engine_usable(studio: Studio) -> None:
    events = studio.session.submit(f"fire {FIRE} -S 7 -n 3 -s 10")
    for event in events:
        if isinstance(event, Step) and list(studio.outdir.glob("0*.png")):
            break
    events.close()  # type: ignore[attr-defined]
    assert sorted(path.name for path in studio.outdir.glob("*.png")) == ["000001.7.png"]
    undisturbed = studio.make(f"fire {FIRE} -S 8 -s 10")
    again = studio.make(f"fire {FIRE} -S 8 -s 10")
    assert np.array_equal(undisturbed.pixels, again.pixels)


def test_an_init_picture_deleted_after_planning_is_an_error(studio: Studio, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "gone.png")
    plan = studio.session.plan(f"x -I {tmp_path / 'gone.png'}")
    (tmp_path / "gone.png").unlink()
    with pytest.raises(PictureError, match="there is no such picture"):
        list(studio.session.run(plan))
    assert studio.make(f"fire {FIRE}").images


def test_an_overflow_is_an_error_instead_of_a_black_picture(studio: Studio) -> None:
    with pytest.raises(EngineError):
        studio.make("x -W 64 -H 64 -C 1e38 -s 20")


def test_an_unwritable_folder_is_found_before_anything_is_made(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InvokeError, match="this is not a folder"):
        studio.make(f"x -o {tmp_path / 'file'}")


# outpainting


def test_outcrop_adds_the_exact_pixels_and_keeps_the_original(studio: Studio) -> None:
    original = np.asarray(prepare(open_picture(PICTURES / "fire-drawing.png").image, 64, 64))
    made = studio.make(f"a cat {FIRE} -c top 20 right 9 top 4").pixels
    assert made.shape == (88, 73, 3)
    assert np.array_equal(made[24:, :64], original)
    assert not np.array_equal(made[:24], np.zeros_like(made[:24]))


def test_a_picture_with_a_hole_can_grow_too(studio: Studio) -> None:
    original, opaque = _with_hole()
    made = studio.make(f"a cat {HOLE} -c left 16").pixels
    assert made.shape == (64, 96, 3)
    assert np.array_equal(made[:, 16:][opaque], original[opaque])


def test_outcrop_shows_its_size_and_is_reproduced_from_its_line(studio: Studio) -> None:
    line = f"a cat {FIRE} -S 4 -c bottom 10"
    assert "outcrop  64×64 → 64×74 (bottom 10)" in studio.session.plan(line).summary
    assert studio.session.plan(line).picture(0).request.strength == 0.9
    made = studio.make(line)
    assert np.array_equal(studio.make(made.line).pixels, made.pixels)


@pytest.mark.parametrize("line", ["-c top", "-c up 64", "-c top 0", "-c top many"])
def test_an_unknown_side_of_outcrop_is_refused(studio: Studio, line: str) -> None:
    with pytest.raises(InvokeError, match="--outcrop"):
        studio.make(f"a cat {FIRE} {line}")

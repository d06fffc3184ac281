"""What a line will do, before anything is made (spec, section 5)."""

from pathlib import Path

import pytest
from PIL import Image

from invoke.errors import InvokeError
from invoke.language.render import render
from tests.line_contexts import PICTURES, a_context, plan
from tests.studio import Studio

FIRE = f"-I {PICTURES / 'fire-drawing.png'}"  # 384×384
PHOTO = f"-I {PICTURES / 'photo-with-hole.png'}"  # 512×384, transparent in part
TURNED = f"-I {PICTURES / 'rotated.jpg'}"  # 512×384 as stored, 384×512 upright


@pytest.mark.parametrize(
    ("line", "points", "taken"),
    [
        (f"fire {FIRE} -s10 -f0.7", 7, 7),
        (f"fire {FIRE} -s10 -f0.4", 4, 4),
        (f"fire {FIRE} -s50 -f0.4", 20, 20),
        (f"fire {FIRE} -s30 -f0.7", 21, 21),
        (f"fire {FIRE} -s100 -f0.29", 29, 29),
        (f"fire {FIRE} -s50 -f0.58", 29, 29),
        (f"fire {FIRE} -s10 -f0.05", 1, 1),
        (f"fire {FIRE} -s10 -f0", 0, 0),
        (f"fire {FIRE} -s10 -f1", 10, 10),
        (f"fire {FIRE} -s10 -f0.7 -A k_heun", 7, 13),
        (f"fire {FIRE} -s10 -f0.7 -A plms", 7, 8),
        ("fire -s10", 10, 10),
        ("fire -s10 -A k_dpm_2", 10, 19),
        (f"fire {FIRE} -s20 -f0.4 --exact_steps", 20, 20),
    ],
)
def test_the_plan_counts_the_steps_that_are_taken(line: str, points: int, taken: int) -> None:
    planned = plan(line).picture(0)
    assert (planned.points, planned.steps_taken) == (points, taken)


def test_the_summary_explains_the_steps() -> None:
    assert "steps 10 × 0.7 → 7 taken" in plan(f"fire {FIRE} -s10 -f0.7").summary
    assert "steps 50 × 0.4 → 20 taken" in plan(f"fire {FIRE} -s20 -f0.4 --exact_steps").summary
    assert "img2img  fire-drawing.png 384×384 → 384×384" in plan(f"fire {FIRE}").summary


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("a cat", (256, 256)),
        ("a cat -m sd-1.5", (512, 512)),
        ("a cat -W 300", (304, 256)),
        (FIRE, (384, 384)),
        (f"{FIRE} -W 256", (256, 256)),
        (f"{FIRE} -W 512 -H 256", (512, 256)),
        (PHOTO, (512, 384)),
        (f"{PHOTO} -H 192", (256, 192)),
        (TURNED, (384, 512)),
        (f"{PHOTO} -W 256 -H 256 --fit", (256, 192)),
        (f"{PHOTO} -W 1024 -H 1024 --fit", (512, 384)),
    ],
)
def test_the_plan_has_the_resolved_size(line: str, size: tuple[int, int]) -> None:
    request = plan(line).picture(0).request
    assert (request.width, request.height) == size


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("a cat", "txt2img"),
        (f"a cat {FIRE}", "img2img"),
        (f"a cat {PHOTO}", "inpaint"),
        (f"a cat {FIRE} -M {PICTURES / 'fire-drawing.png'}", "inpaint"),
        (f"a cat {FIRE} -tm flame", "inpaint"),
    ],
)
def test_the_plan_has_the_mode(line: str, mode: str) -> None:
    assert plan(line).picture(0).mode == mode


def test_a_text_mask_defaults_to_threshold_one_half() -> None:
    assert (
        plan(f"a cat {FIRE} -tm hair -S1").picture(0).request
        == plan(f"a cat {FIRE} -tm hair 0.5 -S1").picture(0).request
    )
    assert plan(f'a cat {FIRE} -tm "long hair" .4').picture(0).request.text_mask == ("long hair", 0.4)


def test_the_summary_describes_the_hole() -> None:
    planned = plan(f"a cat {FIRE} -tm hair").summary
    assert "inpainting where the picture shows 'hair' (threshold 0.5)" in planned
    inverted = plan(f"a cat {FIRE} -tm hair 1 --invert_mask -c top 64").summary
    assert "inpainting where the picture does not show 'hair' (threshold 1)" in inverted
    assert "outcrop  384×384 → 384×448 (top 64)" in inverted
    assert not any("inpainting" in line for line in plan(f"a cat {PHOTO} -f 0").summary)


@pytest.mark.parametrize(("level", "switch"), [(255, ""), (0, " --invert_mask"), (255, " -f 0"), (255, " --soft")])
def test_a_mask_that_keeps_everything_is_refused_when_planned(level: int, switch: str, tmp_path: Path) -> None:
    Image.new("L", (192, 192), level).save(tmp_path / "m.png")
    with pytest.raises(InvokeError, match="this mask keeps everything") as caught:
        plan(f"a cat {FIRE} -M {tmp_path / 'm.png'}{switch}")
    assert caught.value.column is not None


@pytest.mark.parametrize(
    ("mode", "alpha", "summary", "inverted"),
    [
        ("L", None, "94 % of the picture (where mask.png is black)", "6 % of the picture (where mask.png is white)"),
        ("RGBA", 255, "94 % of the picture (where mask.png is black)", "6 % of the picture (where mask.png is w"),
        ("RGBA", 0, "25 % of the picture (where mask.png is transparent)", "75 % of the picture (where mask.png is o"),
        ("LA", 0, "25 % of the picture (where mask.png is transparent)", "75 % of the picture (where mask.png is o"),
    ],
)
def test_ignored_transparency_of_a_mask_is_noted(
    mode: str, alpha: int | None, summary: str, inverted: str, tmp_path: Path
) -> None:
    mask = Image.new(mode, (384, 384))
    mask.paste("white", (192, 0, 288, 96))
    if alpha is not None:
        mask.putalpha(255)
        mask.paste((0,) * (len(mode) - 1) + (alpha,), (0, 0, 192, 192))
    mask.save(tmp_path / "mask.png")
    line = f"a cat {FIRE} -M {tmp_path / 'mask.png'}"
    assert any(each.startswith(f"inpainting {summary}") for each in plan(line).summary)
    assert any(each.startswith(f"inpainting {inverted}") for each in plan(f"{line} --invert_mask").summary)


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("a cat -f 0.5", "-f has no effect without -I"),
        ("a cat --karras -A ddim", "--karras has no effect with ddim"),
        (f"a cat {FIRE} --infill blur", "--infill has no effect without -M, -tm or a transparent part"),
        ("a cat -tm hair", "-tm has no effect without -I"),
        (f"a cat {PHOTO} -tm hair", "-tm has no effect if the picture has a transparent part, which takes precedence"),
        (
            f"a cat {FIRE} -M {PICTURES / 'fire-drawing.png'} -tm hair",
            "-tm has no effect with -M, which takes precedence",
        ),
        (f"a cat {PHOTO} -M {PICTURES / 'mask.png'}", "its own transparent part is ignored because of -M"),
        (f"a cat {FIRE} --fit", "-T has no effect without -W or -H"),
        ("a cat -C1 --negative_prompt dog", "--negative_prompt has no effect without guidance"),
        ("a cat -W 100 -H 100", "-W/--width 100 → 96: pocket makes multiples of 16"),
        ("a cat -W 128 -H 128", "128×128 is below the sizes that pocket draws well (192 to 320 a side): type -W 256"),
        (f"a cat {FIRE} -s 10 -f 0.2", "only 2 steps are taken"),
    ],
)
def test_lines_with_surprising_settings_get_notes(line: str, note: str) -> None:
    assert any(note in noted for noted in plan(line).notes)


@pytest.mark.parametrize(
    ("line", "sentence", "column"),
    [
        ("a cat -I nowhere.png", "nowhere.png: there is no such picture", 9),
        ("a cat -I tests", "tests: this folder holds no pictures", 9),
        ("a cat -I tests/*.png", "tests/*.png: no picture matches", 9),
        ("a cat -I pyproject.toml", "pyproject.toml: this file is not a readable picture", 9),
        ("a cat -m pockt", "no model is called 'pockt', did you mean 'pocket'?", 9),
        ("a cat -I -1", "-I/--init_img -1: no picture was made in this session", 9),
        ("a cat -S -1", "-S/--seed -1: no picture was made in this session", 9),
        ("a cat -U 3", "-U 3: the factor must be 2, 4 or 8", 9),
        (f"a {FIRE} -M {PICTURES / 'mask.png'}", "-M/--init_mask: ", None),
        ("a cat -tm hair 1.5 -I x.png", "-tm/--text_mask must be between 0 and 1, not 1.5", 15),
        ("a cat -tm '' -I x.png", "-tm/--text_mask must name what to repaint", 10),
        ("a cat -I x.png -tm", "-tm/--text_mask needs a text [0..1]", 15),
        ("a cat --sweep strength", "--sweep strength: must be strength=a,b,c", 14),
        ("a cat --sweep stepz=1,2", "--sweep: there is no switch stepz, did you mean steps?", 14),
        ("a cat --sweep fit=1,2", "--sweep: -T/-fit/--fit cannot be swept", 14),
        ("a cat --sweep model=pocket,", "--sweep model=pocket,: must name a model", 14),
        ("a cat --sweep model=pockt,pocket", "no model is called 'pockt', did you mean 'pocket'?", 14),
        (
            "a cat --sweep strength=0.2,0.8",
            "--sweep strength would make identical pictures: -f has no effect without -I",
            14,
        ),
        (f"a {FIRE} --sweep infill=blur,solid", "--sweep infill would make identical pictures: --infill has no", None),
        ("a cat --sweep f=0.2,0.8 --sweep s=5,6 -v 0.1", "--sweep strength would make identical pictures", 32),
        ("a cat --sweep steps=1,many", "--sweep steps=1,many: must be a whole number, not 'many'", 14),
        ("a cat --sweep strength=-1,0.5", "--sweep strength=-1,0.5: must be between 0 and 1, not -1", 14),
        ("a cat --sweep C=1:5:-1", "--sweep C=1:5:-1: steps of -1 do not lead from 1 to 5", 14),
        ("a cat --sweep C=1,2 --sweep s=1,2 --sweep S=1,2", "at most two switches can be swept", 42),
        (
            "a cat -c top 100000 -I test-pictures/fire-drawing.png",
            "-c: the picture would be 384×100384; a side can have",
            9,
        ),
        (f"a {FIRE} -s 900 -f 0.5 --exact_steps", "--exact_steps: 900 steps at strength 0.5", None),
    ],
)
def test_impossible_lines_are_refused(line: str, sentence: str, column: int | None) -> None:
    with pytest.raises(InvokeError) as caught:
        plan(line)
    assert caught.value.message.startswith(sentence)
    assert "\n" not in caught.value.message
    if column is not None:
        assert caught.value.column == column


def test_advice_names_only_switches_that_help() -> None:
    assert "only 2 steps are taken: raise -s, or type --exact_steps" in plan(f"a cat {FIRE} -s 5 -f 0.4").notes
    assert "only 2 steps are taken: raise -s" in plan(f"a cat {FIRE} -s 2 -f 0.4 --exact_steps").notes
    assert "only 1 step is taken: raise -s" in plan(f"a cat {FIRE} -s 20 -f 0.01").notes
    assert "only 1 step is taken: raise -f" in plan(f"a cat {FIRE} -s 1000 -f 0.001").notes
    assert "only 2 steps are taken: raise -f" in plan(f"a cat {FIRE} -s 2 -f 0.002 --exact_steps").notes


def test_seeds_of_one_line_count_up() -> None:
    assert [planned.request.seed for planned in plan("a cat -S 7 -n 3").pictures()] == [7, 8, 9]
    assert [planned.request.seed for planned in plan(f"a cat -S {2**32 - 1} -n 2").pictures()] == [
        2**32 - 1,
        0,
    ]


def test_pictures_are_addressed_by_negative_numbers() -> None:
    context = a_context(newest=[("old.png", 1), (str(PICTURES / "fire-drawing.png"), 2)])
    request = plan("a cat -I -1 -S -2", context).picture(0).request
    assert (request.init_image, request.seed) == (str(PICTURES / "fire-drawing.png"), 1)


def test_variations_of_a_seed_mix_in_fresh_seeds() -> None:
    requests = [planned.request for planned in plan("a cat -S 7 -v 0.1 -n 2").pictures()]
    assert [request.seed for request in requests] == [7, 7]
    assert [request.variations for request in requests] == [((1000, 0.1),), ((1001, 0.1),)]


def test_variations_of_a_picture_redraw_the_first_result() -> None:
    pictures = list(plan(f"a cat {FIRE} -S 7 -v 0.2 -n 2 -s 10").pictures())
    assert [planned.source for planned in pictures] == [None, 0, 0]
    assert [planned.request.seed for planned in pictures] == [7, 8, 9]
    assert [planned.points for planned in pictures] == [7, 2, 2]


@pytest.mark.parametrize(
    ("line", "summary"),
    [
        ("-v 0.2 -s 5", "the first picture is redrawn once at strength 0.2, 5 × 0.2 → 1 step taken"),
        ("-v 0.4 -s 5 -n 2", "redrawn 2 times at strength 0.4, 5 × 0.4 → 2 steps taken each time"),
        ("-v 0 -s 5 -n 2 --drift", ""),
    ],
)
def test_the_plan_shows_the_steps_of_each_pass(line: str, summary: str) -> None:
    planned = plan(f"a cat {FIRE} {line}")
    assert "".join(planned.summary).endswith(summary)
    if summary:
        assert f"→ {planned.picture(1).points} step" in summary
    else:
        assert not any("variations" in each for each in planned.summary)


def test_a_line_overrides_session_defaults_even_with_zero() -> None:
    context = a_context(defaults={"steps": 20, "strength": 0.3, "fit": True, "cfg_scale": 3.0})
    request = plan(f"a cat {FIRE} -f 0 -C 0 -W 256 -H 128 --no-fit", context).picture(0).request
    assert (request.steps, request.strength, request.guidance_scale) == (20, 0.0, 0.0)
    assert (request.width, request.height) == (256, 128)


def test_no_defaults_ignores_picture_defaults_but_not_output_defaults() -> None:
    context = a_context(defaults={"steps": 30, "iterations": 4, "outdir": "elsewhere"})
    planned = plan("a cat --no-defaults", context)
    assert planned.picture(0).request.steps == 20
    assert planned.count == 1
    assert planned.output.outdir == "elsewhere"


def test_an_init_picture_is_found_in_the_output_folder(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "made.png")
    request = plan("a cat -I made.png", a_context(defaults={"outdir": str(tmp_path)})).picture(0).request
    assert request.init_image == str(tmp_path / "made.png")


def test_a_stray_transparent_pixel_is_not_a_hole(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (128, 128), (9, 9, 9, 255))
    picture.putpixel((5, 5), (0, 0, 0, 0))
    picture.save(tmp_path / "speck.png")
    planned = plan(f"a cat -I {tmp_path / 'speck.png'}")
    assert planned.picture(0).mode == "img2img"
    assert any("less than 0.1 %" in note for note in planned.notes)


def test_the_canonical_line_uses_short_switches() -> None:
    line = render(plan(f"a cat {FIRE} -s10 -S5 -f.4 -C 7").picture(0).request)
    assert line == (f"a cat -s 10 -S 5 -W 384 -H 384 -C 7 -A ddim -m pocket {FIRE} -f 0.4 --no-defaults")


def test_a_sweep_uses_one_seed_for_all_values() -> None:
    planned = plan(f"a cat {FIRE} -s 10 --sweep strength=0.2:0.8:0.3")
    requests = [picture.request for picture in planned.pictures()]
    assert [request.strength for request in requests] == [0.2, 0.5, 0.8]
    assert len({request.seed for request in requests}) == 1
    assert (planned.labels, planned.columns) == (("strength 0.2", "strength 0.5", "strength 0.8"), 3)
    assert "steps 10 × 0.5 → 5 taken" in planned.summary


def test_a_swept_value_without_effect_is_noted() -> None:
    assert "-U has no effect at a factor of 1" in plan("a cat --sweep upscale=1,2").notes


def test_a_sweep_of_models_equals_lines_with_each_model() -> None:
    planned = plan("a cat -S 7 --sweep model=pocket,sd-1.5")
    alone = [plan(f"a cat -S 7 -m {name}").picture(0).request for name in ("pocket", "sd-1.5")]
    assert [picture.request for picture in planned.pictures()] == alone
    assert planned.labels == ("model pocket", "model sd-1.5")


def test_a_long_summary_is_shortened_with_a_count() -> None:
    assert plan("a cat --sweep steps=1:100:1").summary[-2:] == ("steps 11", "… and 89 more")


def test_two_sweeps_make_a_table() -> None:
    planned = plan("a cat --sweep steps=5,10 --sweep sampler=ddim,k_lms,plms")
    assert (planned.count, planned.columns) == (6, 3)
    pairs = [(picture.request.steps, picture.request.scheduler) for picture in planned.pictures()]
    assert pairs == [(steps, name) for steps in (5, 10) for name in ("ddim", "k_lms", "plms")]


def test_a_folder_or_glob_makes_one_picture_per_file(tmp_path: Path) -> None:
    for name, size in (("b.png", (64, 128)), ("a.png", (128, 64))):
        Image.new("RGB", size).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    for typed in (tmp_path, tmp_path / "*.png"):
        requests = [planned.request for planned in plan(f"a cat -I {typed} -S 5").pictures()]
        assert [Path(request.init_image or "").name for request in requests] == ["a.png", "b.png"]
        assert [(request.width, request.height) for request in requests] == [(128, 64), (64, 128)]


def test_a_folder_of_pictures_excludes_their_sheets(studio: Studio) -> None:
    made = studio.make("a cat -n 2 -s 2 -S 1 -g --strip --gif -W 64 -H 64")
    studio.make("a cat -s 2 -S 3 -W 64 -H 64 --sweep cfg_scale=1,2")
    assert [Path(path).name for path in made.files("grid")] == ["000001.grid.png"]
    for typed in (studio.outdir, f"{studio.outdir}/0*"):
        requests = [planned.request for planned in plan(f"a cat -I '{typed}'").pictures()]
        names = [Path(str(request.init_image)).name for request in requests]
        assert names == ["000001.1.png", "000001.2.png", "000002.3-01.png", "000002.3.png"]
    for picture in studio.outdir.glob("000002.3*.png"):
        picture.unlink()
    assert plan(f"a cat -I '{studio.outdir}/000002.*'").picture(0).request.init_path == str(
        studio.outdir / "000002.sweep.png"
    )


def test_drift_starts_each_picture_from_the_previous_one() -> None:
    pictures = list(plan(f"a cat {FIRE} -v 0.2 -n 3 --drift").pictures())
    assert [planned.source for planned in pictures] == [None, 0, 1, 2]


def test_an_unknown_trigger_is_noted() -> None:
    assert any("<gnome>: no textual inversion has this trigger" in note for note in plan("a <gnome> on a hill").notes)
    assert not any("trigger" in note for note in plan("5 < 6 and 7 > 3").notes)

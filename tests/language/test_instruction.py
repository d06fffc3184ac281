"""Editing by instruction: `-I` is the picture to edit; switches that make no sense are refused at their column."""

import pytest

from invoke.errors import InvokeError
from invoke.language.parse import parse
from invoke.language.render import render
from tests.line_contexts import PICTURES, a_context, plan

FIRE, SKETCH = str(PICTURES / "fire-drawing.png"), str(PICTURES / "tree-and-river-sketch.png")
HOLE, MASK = str(PICTURES / "photo-with-hole.png"), str(PICTURES / "mask.png")


def test_an_instruction_edits_in_all_steps() -> None:
    planned = plan(f"make it night -m instruct-pix2pix -I {FIRE} -s 20")
    request = planned.picture(0).request
    assert (request.strength, planned.picture(0).steps_taken) == (1.0, 20)
    assert planned.summary[0].startswith("edit  fire-drawing.png")


def test_a_saved_instruction_is_parsed_again() -> None:
    request = plan(f"make it night -m instruct-pix2pix -I {FIRE} --image_cfg 2 -S 7").picture(0).request
    assert request.image_guidance_scale == 2
    again = plan(render(request)).picture(0).request
    assert again == request


def test_a_default_strength_does_not_apply_to_instructions() -> None:
    context = a_context(defaults={"strength": 0.5}, model="instruct-pix2pix")
    assert plan(f"make it night -I {FIRE}", context).picture(0).request.strength == 1.0


def test_a_second_init_picture_is_a_further_picture() -> None:
    draft = parse(f"both on a beach -I {FIRE} -I {SKETCH} --more_img {HOLE}")
    assert (draft.switches["init_img"], draft.switches["more_img"]) == (FIRE, (SKETCH, HOLE))
    planned = plan(f"both on a beach -m flux2-klein -I {FIRE} -I {SKETCH}")
    request = planned.picture(0).request
    assert (request.init_image, request.more_images) == (FIRE, (SKETCH,))
    assert f"-I {FIRE}" in render(request)
    assert f"--more_img {SKETCH}" in render(request)
    assert "also edits  tree-and-river-sketch.png" in planned.summary
    assert plan(render(request)).picture(0).request == request


def test_a_chain_can_continue_with_an_instruction() -> None:
    *_, last = plan("a house -m sd-1.5 -S 1 |> make it night -m instruct-pix2pix -S 2").pictures()
    request = last.request
    assert request.before is not None
    assert request.strength == 1.0


@pytest.mark.parametrize(
    ("line", "sentence", "blamed"),
    [
        ("night -m instruct-pix2pix", "it edits a picture, but this line has none", "instruct"),
        ("night -m kontext", "-m kontext: it edits a picture, but this line has none", "kontext"),
        (f"night -m kontext -I {FIRE} -f 0.5", "-f: kontext edits by instruction", "0.5"),
        (f"night -m kontext -I {FIRE} -f 0", "-f: kontext edits by instruction", "0"),
        (f"night -m kontext -I {FIRE} -I {SKETCH}", "-I: kontext takes 1 picture, not 2", SKETCH),
        (f"night -m sd-1.5 -I {FIRE} -I {SKETCH}", "-I: sd-1.5 takes 1 picture, not 2", SKETCH),
        (f"night -m qwen-image-edit -I {FIRE}" + f" -I {SKETCH}" * 3, "takes at most 3 pictures, not 4", SKETCH),
        (f"night -m qwen-image-edit -I {SKETCH} -M {MASK}", "qwen-image-edit edits whole pictures", MASK),
        (f"night -m qwen-image-edit -I {HOLE}", "qwen-image-edit edits whole pictures", None),
        (f"night -m qwen-image-edit -I {FIRE} -c top 64", "qwen-image-edit edits whole pictures", "top"),
        (f"night -m instruct-pix2pix -I {FIRE} -v 0.2", "-v: instruct-pix2pix edits pictures", "-v"),
        (f"night -m instruct-pix2pix -I {FIRE} --control canny {FIRE}", "not supported by instruct-pix2pix", None),
        (f"night -m instruct-pix2pix -I {FIRE} -embiggen 2", "not supported by instruct-pix2pix", None),
        (f"night -m sd-1.5 -I {FIRE} --image_cfg 2", "--image_cfg: not supported by sd-1.5", None),
        (f"night -m kontext -I {FIRE} --image_cfg 2", "--image_cfg: not supported by kontext", None),
        (f"night -m flux2-klein -I {FIRE} -I nope.png", "nope.png: there is no such picture", "nope"),
    ],
)
def test_switches_that_make_no_sense_with_an_instruction_are_refused(
    line: str, sentence: str, blamed: str | None
) -> None:
    with pytest.raises(InvokeError) as caught:
        plan(line)
    assert sentence in caught.value.message
    if blamed is not None:
        assert caught.value.column is not None
        assert line[caught.value.column :].startswith(blamed)


@pytest.mark.parametrize("line", [f"night -m kontext -I {SKETCH} -M {MASK}", f"night -m instruct-pix2pix -I {HOLE}"])
def test_masks_are_accepted_where_the_model_supports_them(line: str) -> None:
    assert plan(line).picture(0).mode == "inpaint"


def test_an_editor_that_also_draws_needs_no_init_picture() -> None:
    assert plan("a fox -m flux2-klein").picture(0).mode == "txt2img"


def test_a_further_picture_needs_a_first() -> None:
    planned = plan(f"a fox -m flux2-klein --more_img {FIRE}")
    assert planned.picture(0).request.more_images == ()
    assert "--more_img has no effect without -I" in planned.notes


def test_image_cfg_without_guidance_gets_a_note() -> None:
    notes = plan(f"night -m instruct-pix2pix -I {FIRE} -C 1 --image_cfg 2").notes
    assert "--image_cfg has no effect without guidance (-C above 1)" in notes

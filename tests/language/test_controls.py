"""`--control`: parsing, planning, errors with columns, completion."""

import pytest

from invoke.errors import InvokeError
from invoke.language.complete import suggest
from invoke.language.complete.sources import Sources
from invoke.language.parse import parse
from invoke.language.render import render
from invoke.models import read_registry
from tests.line_contexts import PICTURES, a_context, plan

FIRE, SKETCH = str(PICTURES / "fire-drawing.png"), str(PICTURES / "tree-and-river-sketch.png")


def test_each_control_is_in_the_request_and_the_summary() -> None:
    planned = plan(f"a tree -m sd-1.5 -I {FIRE} --control canny {SKETCH} 0.5 --control depth auto:canny -f 0.6")
    assert planned.picture(0).request.controls == (("canny", SKETCH, 0.5), ("depth", "auto:canny", 1.0))
    assert planned.summary[2:] == ("control  canny tree-and-river-sketch.png × 0.5", "control  depth auto:canny × 1")


@pytest.mark.parametrize(
    ("typed", "value", "prompt"),
    [
        ("0.8 0:0.6", (0.8, (0.0, 0.6)), "a sign"),
        ("0.8 .25:1 in red", (0.8, (0.25, 1.0)), "a sign in red"),
        ("0.2:0.5", (1.0, (0.2, 0.5)), "a sign"),
        ("0.8 0:1", (0.8,), "a sign"),
        ("0:1", (1.0,), "a sign"),
        ("0.8 16:9", (0.8,), "a sign 16:9"),
        ("0.8 2.39:1", (0.8,), "a sign 2.39:1"),
        ("0.8 0:0.6 0.1:0.2", (0.8, (0.0, 0.6)), "a sign 0.1:0.2"),
    ],
)
def test_a_control_can_be_limited_to_part_of_the_steps(typed: str, value: tuple[object, ...], prompt: str) -> None:
    planned = plan(f"a sign -m sd-1.5 --control canny {SKETCH} {typed}")
    request = planned.picture(0).request
    assert (request.controls, request.prompt) == ((("canny", SKETCH, *value),), prompt)
    assert plan(render(request)).picture(0).request == request


def test_the_summary_shows_the_part_of_the_steps() -> None:
    planned = plan(f"a sign -m sd-1.5 --control canny {SKETCH} 0.8 0.2:0.6")
    assert "control  canny tree-and-river-sketch.png × 0.8, from 20 % to 60 % of the steps" in planned.summary
    with pytest.raises(InvokeError, match=r"--control must begin before it ends, not 0\.6:0\.2"):
        plan(f"a sign -m sd-1.5 --control canny {SKETCH} 0.8 0.6:0.2")
    for outside in ("0:2", "0.2:1.5", "-0.1:0.5"):
        with pytest.raises(InvokeError, match="--control must be between 0 and 1"):
            plan(f"a sign -m sd-1.5 --control canny {SKETCH} 0.8 {outside}")


def test_a_number_after_the_scale_belongs_to_the_prompt() -> None:
    draft = parse(f"a tree --control canny {SKETCH} 0.5 3 ducks")
    assert (draft.prompt, draft.switches["control"]) == ("a tree 3 ducks", (("canny", SKETCH, 0.5),))


def test_a_picture_of_the_session_can_be_a_control_picture() -> None:
    context = a_context(newest=[(FIRE, 1), (SKETCH, 2)], model="sd-1.5")
    planned = plan("a tree --control canny -1 --control canny -2 2", context)
    assert planned.picture(0).request.controls == (("canny", SKETCH, 1.0), ("canny", FIRE, 2.0))
    assert f"--control canny {SKETCH} 1 --control canny {FIRE} 2" in render(planned.picture(0).request)


def test_a_control_picture_is_found_in_the_output_folder() -> None:
    planned = plan(f"a tree -m sd-1.5 -o {PICTURES} --control canny fire-drawing.png")
    assert planned.picture(0).request.controls[0][1] == FIRE


def test_every_picture_of_a_line_has_the_control() -> None:
    planned = plan(f"a tree -m sd-1.5 -n 3 --control canny {SKETCH}")
    assert {each.request.controls for each in planned.pictures()} == {(("canny", SKETCH, 1.0),)}


@pytest.mark.parametrize(
    ("line", "sentence", "marked"),
    [
        (f"a --control cany {FIRE}", "no ControlNet is called 'cany', did you mean 'canny'?", "cany"),
        (
            f"a --control canny {FIRE}",
            "--control: canny is made for Stable Diffusion at full size, which pocket is not",
            "canny",
        ),
        (f"a --control pocket {FIRE}", "pocket: this is a whole model; use it with -m, not with --control", "pocket"),
        (
            f"a -m sd-1.5 --control canny {FIRE} --control canny nope.png",
            "nope.png: there is no such picture",
            "nope.png",
        ),
        ("a -m sd-1.5 --control canny -1", "--control -1: no picture was made in this session", "-1"),
        ("a --control canny", "--control needs model picture [0..2] [from:to]", "--control"),
        (f"a --control canny {FIRE} 3", "--control must be between 0 and 2, not 3", "3"),
        ('a --control canny ""', "--control must name a control picture", 'canny ""'),
        (f'a --control "" {FIRE}', "--control must name a model", '""'),
        (
            "a -m sd-1.5 --control canny auto:canny",
            "auto:canny means the edges of the init picture, but this line has none",
            "auto:canny",
        ),
        (f"a -m sd-1.5 -I {FIRE} --control canny auto:faces", "there is no detector auto:faces", "auto:faces"),
        (
            f"a -m sd-1.5 -I {FIRE} --control canny auto:cany",
            "there is no detector auto:cany, did you mean auto:canny?",
            "auto:cany",
        ),
        (
            f"a -m sd-1.5 --control canny-sdxl {FIRE}",
            "--control: canny-sdxl is made for Stable Diffusion XL, which sd-1.5 is not",
            "canny-sdxl",
        ),
        (
            f"a -m sdxl --control canny {FIRE}",
            "--control: canny is made for Stable Diffusion 1 and 2, which sdxl is not",
            "canny",
        ),
        (f"a -m kandinsky-2.2 --control canny {FIRE}", "--control: no ControlNet fits kandinsky-2.2", "canny"),
        (f"a -m flux-schnell --control canny {FIRE}", "--control: no ControlNet fits flux-schnell", "canny"),
        (
            f"a -m sd-1.5 -I {FIRE} -embiggen 2 --control canny {FIRE}",
            f"-embiggen redraws a picture in tiles, which cannot follow {FIRE}",
            FIRE,
        ),
        (
            f"a -m canny --control canny {FIRE}",
            "canny: this is a ControlNet; use it with --control, not with -m",
            "canny",
        ),
    ],
)
def test_invalid_controls_are_refused(line: str, sentence: str, marked: str) -> None:
    with pytest.raises(InvokeError) as caught:
        plan(line)
    assert caught.value.message == sentence
    column = caught.value.column
    assert column is not None
    assert line[column:].startswith(marked)


def test_an_unknown_detector_names_the_available_ones() -> None:
    with pytest.raises(InvokeError) as caught:
        plan(f"a -m sd-1.5 -I {FIRE} --control depth auto:faces")
    assert caught.value.hint == (
        "there is auto:canny (the edges of the init picture), "
        "auto:depth (the depth of the init picture, near is bright); otherwise name a picture"
    )


def test_a_controlnet_that_does_not_fit_names_those_that_do() -> None:
    with pytest.raises(InvokeError) as caught:
        plan(f"a -m sdxl --control canny {FIRE}")
    assert caught.value.hint == "these fit it: " + ", ".join(
        spec.name for spec in read_registry() if (spec.kind, spec.family) == ("controlnet", "sdxl")
    )


def test_a_control_picture_of_other_proportions_gets_a_note() -> None:
    note = f"{SKETCH}: only the middle of its 512×384 is used, for 512×512"
    assert note in plan(f"a tree -m sd-1.5 --control canny {SKETCH}").notes
    assert note not in plan(f"a tree -m sd-1.5 -W 1024 -H 768 --control canny {SKETCH}").notes


def test_control_has_no_effect_at_strength_0() -> None:
    assert (
        "--control has no effect at strength 0" in plan(f"a -m sd-1.5 -I {FIRE} -f 0 --control canny auto:canny").notes
    )
    assert not any("--control" in note for note in plan(f"a -m sd-1.5 -I {FIRE} --control canny auto:canny").notes)


SOURCES = Sources(
    models={"pocket": "small scenes"},
    added={"controlnet": {"canny": "edges", "depth": "near is bright"}, "lora": {"candle": "light"}},
    made=[("outputs/000001.42.png", 42)],
    folder=lambda path: [("auto.png", False), ("edges.png", False)] if path == "." else (),
)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("a --cont", ["--control"]),
        ("a --control ", ["canny", "depth"]),
        ("a --control ca", ["canny"]),
        ("a --control canny ", ["auto:canny", "auto:depth", "-1", "auto.png", "edges.png"]),
        ("a --control canny auto", ["auto:canny", "auto:depth", "auto.png"]),
        ("a --control canny ed", ["edges.png"]),
        ("a -m ca", []),
    ],
)
def test_control_is_completed(before: str, expected: list[str]) -> None:
    assert [suggestion.text for suggestion in suggest(before, SOURCES)] == expected

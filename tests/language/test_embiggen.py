"""`-embiggen` at the prompt."""

import pytest

from invoke.errors import InvokeError
from invoke.language.resolve.postprocess import embiggen_summary
from invoke.models import ModelSpec
from tests.line_contexts import PICTURES, plan

FIRE = f"-I {PICTURES / 'fire-drawing.png'}"  # 384×384
PHOTO = f"-I {PICTURES / 'photo-with-hole.png'}"


def test_the_plan_shows_tiles_and_counts_their_steps() -> None:
    planned = plan(f"fire {FIRE} -embiggen 2 -s 10")
    first = planned.picture(0)
    assert (first.request.embiggen, first.request.strength, first.request.finished_size) == (
        (2, 0, 0.25),
        0.4,
        (768, 768),
    )
    assert "embiggen  384×384 → 768×768 in 16 tiles of 256×256" in planned.summary
    assert "steps 10 × 0.4 → 4 taken for each tile, 64 in all" in planned.summary
    assert first.steps_taken == 64


@pytest.mark.parametrize(
    ("switches", "strength"),
    [("", 0.4), ("-f 0.3", 0.3), ("-embiggen_strength 0.2", 0.2), ("-f 0.3 -embiggen_strength 0.2", 0.2)],
)
def test_the_strength_of_embiggen_has_a_default(switches: str, strength: float) -> None:
    assert plan(f"fire {FIRE} -embiggen 2 {switches}").picture(0).request.strength == strength


def test_embiggen_tiles_redraws_only_some_tiles() -> None:
    planned = plan(f"fire {FIRE} -embiggen 2 -embiggen_tiles 1 16 -s 10")
    assert planned.picture(0).steps_taken == 8
    assert "embiggen  384×384 → 768×768 in 16 tiles of 256×256, of which 2 are redrawn" in planned.summary


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"fire {FIRE} -embiggen 2 -embiggen_tiles 17", "there is no tile 17; 768×768 has 16"),
        (f"fire {FIRE} -embiggen 2 -embiggen_tiles 0", "-embiggen_tiles must be at least 1, not 0"),
        (f"fire {FIRE} -embiggen 16 -W 1024 -H 1024", "the picture would be 16384×16384"),
        (f"fire {FIRE} -embiggen 2 -c right 64", "-c/--outcrop and -embiggen cannot be combined"),
        (f"fire {FIRE} -embiggen 0.5", "must be between 1 and 16"),
    ],
)
def test_invalid_embiggen_lines_are_refused(line: str, sentence: str) -> None:
    with pytest.raises(InvokeError) as refused:
        plan(line)
    assert sentence in refused.value.message
    assert refused.value.column is not None


def test_embiggen_without_an_init_picture_gets_a_note() -> None:
    planned = plan("fire -embiggen 2")
    assert planned.picture(0).request.embiggen is None
    assert "-embiggen has no effect without -I" in planned.notes


def test_the_upscaling_strength_of_embiggen_gets_a_note() -> None:
    assert any(
        note.startswith("the strength of -embiggen has no effect") for note in plan(f"{FIRE} -embiggen 2 .5").notes
    )


def test_embiggen_redraws_a_transparent_part_too() -> None:
    assert plan(f"fire {PHOTO} -embiggen 2").picture(0).mode == "img2img"


@pytest.mark.parametrize(("typed", "overlap"), [("2", 0.25), ("2 0", 0.25), ("2 0 0.1", 0.1), ("2 0 32", 32)])
def test_overlap_has_a_default_and_a_strength_of_0_no_note(typed: str, overlap: float) -> None:
    planned = plan(f"fire {FIRE} -embiggen {typed}")
    assert planned.picture(0).request.embiggen == (2, 0, overlap)
    assert not [note for note in planned.notes if "-embiggen" in note]


def test_the_tiles_of_a_model_of_oblong_pictures_have_its_shorter_side() -> None:
    request = plan(f"fire {FIRE} -embiggen 2").picture(0).request
    (row,) = embiggen_summary(request, ModelSpec(name="oblong", weights="", width=256, height=512))
    assert row == "embiggen  384×384 → 768×768 in 16 tiles of 256×256"

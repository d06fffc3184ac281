"""`--strength_map` and `--soft`: planning and errors."""

from pathlib import Path

import pytest
from PIL import Image

from invoke.errors import InvokeError
from invoke.language.parse import read
from invoke.language.render import render
from invoke.language.resolve.init_image import _strengths
from tests.line_contexts import PICTURES, a_context, plan

PHOTO = f"-I {PICTURES / 'tree-and-river-sketch.png'}"
MASK = PICTURES / "mask.png"


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """From 51 to 204 of 255, at half the picture's size."""
    made = Image.linear_gradient("L").resize((256, 192)).point([51 + level * 153 // 255 for level in range(256)])
    made.save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


def test_the_strength_is_the_brightest_value_of_the_map(grey: Path) -> None:
    planned = plan(f"a cat {PHOTO} --strength_map {grey} -s 10")
    request = planned.picture(0).request
    assert (request.strength, request.strength_map) == (0.8, str(grey))
    assert "steps 10 × 0.8 → 8 taken" in planned.summary
    assert "strength  0.2 to 0.8 (grey.png)" in planned.summary
    assert planned.picture(0).mode == "img2img"
    assert plan(f"a cat {PHOTO} --strength_map {MASK}").picture(0).mode == "inpaint"


@pytest.mark.parametrize(
    "switches", ["--strength_map {grey} -s 10", "-M {grey} --soft", "-M {grey} --soft --invert_mask"]
)
def test_a_saved_line_with_a_strength_map_plans_without_notes(switches: str, grey: Path) -> None:
    request = plan(f"a cat {PHOTO} {switches.format(grey=grey)} -S 1").picture(0).request
    again = plan(render(request), a_context(defaults={"strength": 0.3, "soft": True}))
    assert again.picture(0).request == request
    assert not [note for note in again.notes if "no effect" in note]


def test_switches_without_effect_beside_a_map_are_noted(grey: Path) -> None:
    assert "-f has no effect with --strength_map" in plan(f"a cat {PHOTO} --strength_map {grey} -f 0.5").notes
    assert "-f has no effect with --soft" in plan(f"a cat {PHOTO} -M {MASK} --soft -f 0.5").notes
    assert "--soft has no effect without -M" in plan(f"a cat {PHOTO} --soft").notes
    assert "--strength_map has no effect without -I" in plan(f"a cat --strength_map {grey}").notes


def test_a_black_map_redraws_nothing(tmp_path: Path) -> None:
    Image.new("L", (512, 384)).save(tmp_path / "black.png")
    planned = plan(f"a cat {PHOTO} --strength_map {tmp_path / 'black.png'}")
    assert planned.picture(0).steps_taken == 0
    assert "nothing is redrawn (strength 0)" in planned.summary


def test_variations_with_a_map_are_redrawn_as_a_whole(grey: Path) -> None:
    first, again = (plan(f"a cat {PHOTO} --strength_map {grey} -v 0.3 -n 1").picture(n).request for n in (0, 1))
    assert (first.strength_map, again.strength_map, again.strength) == (str(grey), None, 0.3)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{photo} --strength_map {square}", "--strength_map: {square} is 64×64, but the init picture is 512×384"),
        ("{photo} --strength_map nowhere.png", "nowhere.png: there is no such picture"),
        ("{photo} -c top 64 --strength_map {grey}", "--strength_map and -c cannot be combined"),
        ("{photo} -c top 64 -M {mask} --soft", "--soft and -c cannot be combined"),
        ("{photo} -M {mask} --soft --strength_map {grey}", "--soft and --strength_map cannot be combined"),
        ("{photo} -embiggen 2 --strength_map {grey}", "--strength_map and -embiggen cannot be combined"),
    ],
)
def test_invalid_strength_maps_are_refused(line: str, sentence: str, grey: Path, tmp_path: Path) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "square.png")
    named = {"photo": PHOTO, "grey": grey, "mask": MASK, "square": tmp_path / "square.png"}
    typed = f"a cat {line.format(**named)}"
    with pytest.raises(InvokeError) as caught:
        plan(typed)
    assert caught.value.message.startswith(sentence.format(**named))
    assert caught.value.column is not None
    assert read(typed)


@pytest.mark.parametrize(("switches", "strengths"), [({}, (55, 245)), ({"invert_mask": True}, (10, 200))])
def test_a_soft_mask_gives_strengths_from_what_it_keeps_least_and_most(
    tmp_path: Path, switches: dict[str, bool], strengths: tuple[int, int]
) -> None:
    mask = Image.new("L", (16, 16), 200)
    mask.paste(10, (0, 0, 8, 16))
    mask.save(tmp_path / "mask.png")
    low, high = (level / 255 for level in strengths)
    assert _strengths({"soft": True, **switches}, str(tmp_path / "mask.png"), None) == (low, high)
    assert _strengths(switches, str(tmp_path / "mask.png"), None) is None
    assert _strengths({"soft": True, **switches}, None, None) is None
    assert _strengths({}, None, str(tmp_path / "mask.png")) == (10 / 255, 200 / 255)


def test_what_is_drawn_from_a_picture_again_has_no_map_and_no_soft_mask() -> None:
    line = f"a fire -I {PICTURES / 'photo-with-hole.png'} -S 1 -v .3 -n 1"
    mask = PICTURES / "mask.png"
    for more in (f"-M {mask} --soft", f"--strength_map {mask}"):
        first, again = (one.request for one in plan(f"{line} {more}").pictures())
        assert first.soft or first.strength_map
        assert (again.soft, again.strength_map) == (False, None)

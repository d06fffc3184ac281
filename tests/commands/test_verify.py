"""A picture made again from its own file: same, close or different, and why."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from invoke.commands.verdict import Verdict
from invoke.commands.verify import compare, make_again
from invoke.errors import PictureError
from invoke.events import Pixels
from tests.line_contexts import PICTURES
from tests.studio import Studio


def verdict(studio: Studio, path: str) -> Verdict:
    last = list(make_again(studio.session.engine, path))[-1]
    assert isinstance(last, Verdict)
    return last


def test_verify_makes_the_same_picture_again(studio: Studio) -> None:
    made = studio.make(f"fire -I {PICTURES / 'fire-drawing.png'} -W 64 -H 64 -f 0.6")
    assert verdict(studio, made.path).kind == "same"


def test_verify_reports_a_replaced_init_picture(studio: Studio, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "init.png")
    made = studio.make(f"fire -I {tmp_path / 'init.png'} -f 0.3")
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "init.png")
    found = verdict(studio, made.path)
    assert found.kind != "same"
    assert found.reasons == ("the init picture has changed",)


def test_verify_refuses_a_picture_without_a_recipe(studio: Studio) -> None:
    with pytest.raises(PictureError, match="has no recipe"):
        verdict(studio, str(PICTURES / "fire-drawing.png"))


@given(st.binary(min_size=12, max_size=12), st.integers(0, 11))
def test_only_identical_pixels_are_the_same(data: bytes, place: int) -> None:
    picture = Pixels(2, 2, data)
    other = replace(picture, data=data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert compare("x.png", picture, picture).kind == "same"
    assert compare("x.png", picture, other).kind == "close"
    assert compare("x.png", Pixels(2, 2, bytes(12)), Pixels(2, 2, b"\xff" * 12)).kind == "different"
    assert compare("x.png", picture, Pixels(1, 4, data)).kind == "different"

"""Names of files, whatever the prompt says."""

import unicodedata
from dataclasses import replace
from itertools import islice
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.language.types.template import FIELDS, Template
from invoke.outputs import filenames
from tests.outputs.makings import REQUEST

hostile = st.one_of(
    st.text(max_size=400),
    st.sampled_from(
        ["../../x", "/etc/passwd", "..", ".", "", "-rf", ".hidden", "CON", "nul.png", "a/../b", "日" * 300]
    ),
)
templates = st.lists(
    st.sampled_from(
        ["{prompt}", "{prefix}", "{seed}", ".png", "/", "..", "-", "{model}", "{init_img}", "x", "{{", "}}"]
    )
).map("".join)


@given(hostile, templates, hostile, hostile)
def test_a_file_name_is_a_single_safe_path_component(prompt: str, template: str, model: str, start: str) -> None:
    request = replace(REQUEST, prompt=prompt, model=model, init_image=start)
    name = filenames.picture_stem(template, 32, request) + "-01.png"
    assert PurePath("outputs", name).parts == ("outputs", name)
    assert name not in {"-01.png", ".", ".."}
    assert name[0] not in ".-"
    assert len(name.encode("utf-8")) <= filenames.LONGEST_NAME
    assert not {unicodedata.category(char) for char in name} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not set(name) & set('<>:"/\\|?*')


@pytest.mark.parametrize(
    ("template", "stem"),
    [
        (filenames.DEFAULT, "000032.42"),
        ("{prompt}.{seed}.PNG", "a cat, oil.42"),
        ("{steps}x{cfg_scale}_{width}x{height}", "50x7.5_512x384"),
        ("{seed:010}-{strength:.1f}", "0000000042-0.8"),
        ("{sampler}/{model_id}", "k_lms_sd-1.5"),
        ("../{prefix}", "_000032"),
        ("..", "000032.42"),
        ("aux", "_aux"),
        ("{init_img}", "fire"),
        ("{{{seed}}}", "{42}"),
        ("dp.{prompt:0.3}.{perlin}", "dp.a c.0.0"),
    ],
)
def test_fnformat_templates_give_names(template: str, stem: str) -> None:
    request = replace(REQUEST, prompt="a cat, oil", model="runway/sd-1.5", init_image="in/fire.png", strength=0.75)
    assert filenames.picture_stem(template, 32, request) == stem


@given(
    st.sampled_from(sorted(FIELDS)),
    st.sampled_from(["", "5", "05", ".1f", "d", "s", "g", "<9", ">4s"]),
)
def test_every_accepted_template_gives_a_name(key: str, form: str) -> None:
    try:
        template = Template().parse((f"{{{key}:{form}}}",))
    except ValueError:
        return
    assert filenames.picture_stem(template, 32, REQUEST)


def test_a_variation_is_named_by_its_own_seed() -> None:
    varied = replace(REQUEST, variations=((7, 0.1), (8, 0.2)))
    assert filenames.stem(1_234_567, varied) == "1234567.8"
    assert filenames.picture_stem("{seed}", 1, varied) == "8"


def test_the_prompt_in_a_name_is_cut_after_fifty_characters() -> None:
    words = "the sky " + "a" * 60
    seed = filenames.seed_shown(REQUEST)
    assert filenames.stem(32, REQUEST, words) == f"000032.{seed}.the-sky-{'a' * 42}"
    assert filenames.mask_stem(32, "x/harbour.png", words, "selected") == f"000032.harbour.the sky {'a' * 42}.selected"


def test_alternative_names_are_numbered() -> None:
    assert list(islice(filenames.alternatives("a.1"), 3)) == ["a.1", "a.1-01", "a.1-02"]


@pytest.mark.parametrize("char", ["/", "\\", ":", "*", "?", '"', "<", ">", "|", "\0", "\n", "\x1b", "\u202e", "\ud800"])
def test_one_unsafe_character_makes_a_name_unusable(char: str) -> None:
    assert filenames.is_picture_name("000001.7 é.png")
    assert not filenames.is_picture_name(f"000001{char}7.png")

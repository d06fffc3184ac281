"""`+name` in a line: named words and switches, expanded in saved lines."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.errors import CommandError
from invoke.language.parse import Draft, parse
from invoke.language.presets import NAME, expand, line_of, read_presets, write_presets
from invoke.language.render import render
from invoke.language.resolve import resolve
from tests.line_contexts import a_context
from tests.shell.talk import Talk

PRESETS = {
    "oil": '"…, oil painting" -s 30 -A k_dpmpp_2 --karras',
    "ink": "ink drawing -s 12",
    "fast": "-s 5 -C 3",
    "broken": "-s many",
    "self": "a cat +self",
}


OIL = {"steps": 30, "sampler": "k_dpmpp_2", "karras": True}


def expanded(line: str, presets: Mapping[str, str] = PRESETS) -> Draft:
    return expand(parse(line), lambda: presets)


@pytest.mark.parametrize(
    ("line", "prompt", "switches"),
    [
        ("a castle +oil", "a castle, oil painting", OIL),
        ("+oil a castle -s 20", "a castle, oil painting", OIL | {"steps": 20}),
        (
            '"a castle" +oil --no-karras',
            "a castle, oil painting",
            {"steps": 30, "sampler": "k_dpmpp_2", "karras": False},
        ),
        ("a castle +ink", "a castle, ink drawing", {"steps": 12}),
        ("a castle +ink +fast", "a castle, ink drawing", {"steps": 5, "cfg_scale": 3.0}),
        (
            "-I fire.png +oil",
            "oil painting",
            {"init_img": "fire.png", "steps": 30, "sampler": "k_dpmpp_2", "karras": True},
        ),
        ('"a castle +oil"', "a castle +oil", {}),
        ("2 + 2, c++ and +5", "2 + 2, c++ and +5", {}),
    ],
)
def test_a_preset_adds_words_and_switches_below_the_line(line: str, prompt: str, switches: dict[str, object]) -> None:
    draft = expanded(line)
    assert draft.prompt == prompt
    assert dict(draft.switches) == switches


def test_each_part_of_a_chain_has_its_own_presets() -> None:
    draft = expanded("a castle +ink |> in oil -f 0.5 +oil")
    assert [part.prompt for part in draft.parts] == ["a castle, ink drawing", "in oil, oil painting"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a cat +oli", r"there is no preset \+oli, did you mean \+oil\?"),
        ("a cat +broken", r"the preset \+broken cannot be read: -s/--steps"),
        ("a cat +self", r"the preset \+self contains \+self, but presets can only contain words and switches"),
    ],
)
def test_invalid_presets_are_refused_at_their_column(line: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as error:
        expanded(line)
    assert error.value.column == 6


def test_the_saved_line_contains_no_preset() -> None:
    context = replace(a_context(), presets=lambda: PRESETS)
    request = resolve(parse("a castle +oil -S 7"), context).picture(0).request
    assert "+" not in render(request)
    assert resolve(parse(render(request)), a_context()).picture(0).request == request


@given(st.text(max_size=30), st.from_regex(NAME, fullmatch=True))
def test_a_saved_preset_expands_the_presets_inside_it(words: str, name: str) -> None:
    try:
        draft = parse(f"{words} -s 12 --karras")
    except CommandError:
        return
    if draft.presets or draft.before is not None:
        return
    again = parse(line_of(draft))
    assert (again.prompt or None, dict(again.switches)) == (draft.prompt or None, dict(draft.switches))


def test_a_presets_file_maps_names_to_lines(tmp_path: Path) -> None:
    file = tmp_path / "more" / "presets.yaml"
    assert read_presets(file) == {}
    write_presets(file, PRESETS)
    assert read_presets(file) == PRESETS
    assert "…, oil painting" in file.read_text(encoding="utf-8"), "it can be read and shared"


@pytest.mark.parametrize(
    "content", ["- a\n- b\n", "oil: [1, 2]\n", "a b: c\n", "oil: {\n", "!!python/object:os.system {}\n"]
)
def test_an_invalid_presets_file_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "presets.yaml"
    file.write_text(content)
    with pytest.raises(CommandError, match=r"presets\.yaml: "):
        read_presets(file)


def test_presets_are_saved_shown_and_deleted_at_the_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    talk = Talk(tmp_path)
    talk.session.presets_file = tmp_path / "presets.yaml"
    talk.type('!preset save oil -s 3 -A k_euler "…, oil painting"', "a castle -S 7 -W 256 -H 256 +oil", "!presets")
    assert "a castle, oil painting -s 3 -S 7" in talk.out
    assert (output := talk.err).count("+oil  …, oil painting -s 3 -A k_euler") == 2
    assert str(tmp_path / "presets.yaml") in output
    talk.type("!preset save more +oil -C 3", "!preset more", "!preset save oil +oil", "!preset save x", "!set +oil")
    output = talk.err
    assert "+more  …, oil painting -s 3 -A k_euler -C 3" in output
    assert "+oil cannot contain itself" in output
    assert "!preset save expects a name and the words or switches for it" in output
    assert "!set takes no presets" in output
    talk.type("!preset delete oil", "a castle +oil")
    output = talk.err
    assert "deleted: +oil" in output
    assert "there is no preset +oil" in output
    assert talk.entry.column == 9

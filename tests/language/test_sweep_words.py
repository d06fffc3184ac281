"""Sweeps over words: prompts, words in a prompt, presets, the weights of a LoRA."""

from dataclasses import replace
from pathlib import Path

import pytest

from invoke.errors import InvokeError
from invoke.language.plan import Plan
from tests.line_contexts import a_context, plan
from tests.shell.talk import Talk


def swept(line: str) -> Plan:
    presets = {"oil": "…, oil painting -s 30", "ink": "…, ink drawing -s 12"}
    return plan(line, replace(a_context(), presets=lambda: presets))


def prompts(line: str) -> list[str]:
    return [planned.request.prompt for planned in swept(line).pictures()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('a cat --sweep "prompt=tree,a stone house"', ["tree", "a stone house"]),
        ('--sweep "prompt=tree,house"', ["tree", "house"]),
        ('a tree, trees, tree. --sweep "word:tree=tree,house"', ["a tree, trees, tree.", "a house, trees, house."]),
        ("a tree --sweep preset=oil,ink", ["a tree, oil painting", "a tree, ink drawing"]),
        (
            "a tree withLora(blue, 1) --sweep lora:blue=0.5,1",
            ["a tree withLora(blue, 0.5)", "a tree withLora(blue, 1)"],
        ),
        ("a red tree --sweep word:tree=tree,hut --sweep word:red=red,blue", None),
    ],
)
def test_a_sweep_over_prompts_uses_one_seed(line: str, expected: list[str] | None) -> None:
    if "withLora" in line:
        with pytest.raises(InvokeError, match="blue"):  # no such LoRA is on the list: the weights are read all the same
            swept(line)
        return
    made = prompts(line)
    assert made == (expected or ["a red tree", "a blue tree", "a red hut", "a blue hut"])
    assert len({planned.request.seed for planned in swept(line).pictures()}) == 1


def test_a_sweep_over_presets_applies_their_switches_below_the_line() -> None:
    assert [planned.request.steps for planned in swept("a tree --sweep preset=oil,ink").pictures()] == [30, 12]
    assert [planned.request.steps for planned in swept("a tree -s 9 --sweep preset=oil,ink").pictures()] == [9, 9]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a cat --sweep word:tree=tree,house", "the prompt does not have the word tree"),
        ("a cat --sweep prompt=a,,b", "must be prompt=a,b,c"),
        ("a cat --sweep lora:blue=0.5,1", r"the prompt does not have withLora\(blue,1\)"),
        ("a cat --sweep preset=oil,pen", r"there is no preset \+pen"),
        ("a cat --sweep wird:cat=a,b", "there is no switch wird:cat"),
    ],
)
def test_invalid_sweeps_are_refused_at_their_column(line: str, sentence: str) -> None:
    with pytest.raises(InvokeError, match=sentence) as error:
        swept(line)
    assert error.value.column == len("a cat --sweep ")


def test_sheets_and_file_names_contain_the_swept_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    talk = Talk(tmp_path)
    line = 'a tree -S 7 -W 256 -H 256 --sweep "word:tree=tree,a stone house,../x"'
    assert talk.session.plan(line).labels == ("tree", "a stone house", "../x")
    talk.type(line)
    names = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert names == ["000001.7._x.png", "000001.7.a-stone-house.png", "000001.7.tree.png", "000001.sweep.png"]


@pytest.mark.parametrize(
    ("sweep", "labels"),
    [
        ("steps=2,3", ["", ""]),  # numbers are on the sheet; names stay short
        ("sampler=ddim,k_lms", ["ddim", "k_lms"]),
        ("model=pocket,sd-1.5", ["pocket", "sd-1.5"]),
        ("steps=2,3 --sweep A=ddim,k_lms", ["ddim", "k_lms"] * 2),
        ("word:cat=cat,dog --sweep m=pocket,sd-1.5", ["cat pocket", "cat sd-1.5", "dog pocket", "dog sd-1.5"]),
    ],
)
def test_models_and_samplers_can_be_swept_by_name(sweep: str, labels: list[str]) -> None:
    assert [planned.label for planned in swept(f"a cat -S 7 --sweep {sweep}").pictures()] == labels


def test_a_folder_of_pictures_excludes_strips_of_swept_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Talk(tmp_path).type('a tree -S 7 --strip --sweep "word:tree=tree,steps"')
    names = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert names == [
        *("000001.7.steps_.png", "000001.7.steps_.steps.png"),
        *("000001.7.tree.png", "000001.7.tree.steps.png", "000001.sweep.png"),
    ]
    started = swept(f"a cat -I {tmp_path / 'out'} -W 64 -H 64").pictures()
    assert [Path(each.request.init_path or "").name for each in started] == ["000001.7.steps_.png", "000001.7.tree.png"]

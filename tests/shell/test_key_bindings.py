"""Files dropped on the terminal, and names that are pasted."""

import re
import shlex
from pathlib import Path
from urllib.parse import quote as percent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.language.parse import parse
from invoke.shell.key_bindings import as_init_picture, inserted

_names = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1, max_size=12)
_spelled = st.sampled_from(
    [
        str,
        shlex.quote,
        lambda path: re.sub(r"([^\w/.-])", r"\\\1", path),
        lambda path: f"file://{percent(path)}",
        lambda path: f"file://localhost{percent(path)}\n",
        lambda path: f"{shlex.quote(path)} ",
    ]
)
"""The ways in which terminals and desktops write a file name."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with two pictures, a text and a folder in it."""
    monkeypatch.chdir(tmp_path)
    Path("my pics").mkdir()
    for name in ("my pics/a b.png", "fire.png", "lines.txt"):
        Path(name).touch()
    return tmp_path


@given(_names, _spelled)
def test_dropped_pictures_are_recognised_in_any_quoting(
    tmp_path_factory: pytest.TempPathFactory, name: str, spelled: object
) -> None:
    picture = tmp_path_factory.mktemp("dropped") / f"{name}.png"
    picture.touch()
    draft = parse("a cat" + inserted("a cat", spelled(str(picture))))  # type: ignore[operator]
    assert (draft.prompt, draft.switches) == ("a cat", {"init_img": str(picture)})


@pytest.mark.parametrize(
    ("before", "pasted", "after"),
    [
        ("", "fire.png", "-I fire.png "),
        ("a cat", "fire.png", "a cat -I fire.png "),
        ("a cat ", "'my pics/a b.png'", 'a cat -I "my pics/a b.png" '),
        ('"a cat"', "fire.png", '"a cat" -I fire.png '),
        ("a cat -I", "fire.png", "a cat -I fire.png"),
        ("a cat -I ", r"my\ pics/a\ b.png ", 'a cat -I "my pics/a b.png"'),
        ('a cat -I "', "my pics/a b.png", 'a cat -I "my pics/a b.png"'),
        ("a cat --image=", "my pics/a b.png", 'a cat --image="my pics/a b.png"'),
        ("a cat -M ", "fire.png", "a cat -M fire.png"),
        ("a cat --control canny ", "fire.png", "a cat --control canny fire.png"),
        ("a cat -o ", "'my pics'", 'a cat -o "my pics"'),
        ("!fetch ", "fire.png", "!fetch fire.png"),
        ("!fix", "'my pics/a b.png'", '!fix "my pics/a b.png"'),
        ("!replay ", "'lines.txt'", "!replay lines.txt"),
        ("!! ", "fire.png", "!! -I fire.png "),
    ],
)
def test_a_dropped_picture_becomes_an_init_picture(folder: Path, before: str, pasted: str, after: str) -> None:
    assert before + inserted(before, pasted) == after


@pytest.mark.parametrize(
    ("before", "pasted"),
    [
        ("a cat ", "in the style of a wood cut"),
        ("a cat ", "nowhere.png"),
        ("a cat ", "lines.txt"),
        ("a cat ", "'my pics'"),
        ("a cat -s ", "20"),
        ('"a sign that says ', "fire.png"),
        ("", "fire.png\nfire.png"),
        ("", "fire.png\0"),
        ("", "x" * 100_000),
        ("", ""),
    ],
)
def test_other_pasted_text_is_unchanged(folder: Path, before: str, pasted: str) -> None:
    assert inserted(before, pasted) == pasted


def test_a_line_with_only_a_picture_is_recognised(folder: Path) -> None:
    assert as_init_picture(r"my\ pics/a\ b.png ") == '-I "my pics/a b.png" '
    assert as_init_picture('"fire.png"') is None, "in double quotes it is a prompt"
    assert as_init_picture("a cat") is None
    assert as_init_picture("-I fire.png") is None

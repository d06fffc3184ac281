"""What is underlined, as a table: the line with its cursor (`‸`) in, the wrong word and the message out."""

import sys
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from invoke.images import opening
from invoke.language.complete.diagnostics import Diagnostic, diagnose, finished
from invoke.language.parse import Draft
from invoke.language.plan import Plan
from invoke.language.render import render
from invoke.language.resolve import resolve
from invoke.request import Request
from tests.line_contexts import PICTURES, a_context
from tests.strategies import lines, requests

DESCRIBE = sys.modules["invoke.images.describe"]
"""The module; the package has a function of this name."""
FIRE = str(PICTURES / "fire-drawing.png")
WORLD = a_context(model="sd-1.5")


def resolved(draft: Draft) -> Plan:
    return resolve(draft, WORLD)


def shown(line: str, cursor: int) -> Diagnostic | None:
    """The underlined word, never the one at the cursor."""
    wrong = diagnose(line, cursor, resolved)
    return None if wrong is None or wrong.is_typed_at(cursor) else wrong


def at_the_cursor(typed: str) -> tuple[str, str]:
    """The word that is underlined and the message."""
    before, _, after = typed.partition("‸")
    wrong = shown(before + after, len(before))
    return ("", "") if wrong is None else ((before + after)[wrong.start : wrong.end], wrong.message)


@pytest.mark.parametrize(
    ("typed", "word", "message"),
    [
        ("a cat -f 3 ‸", "3", "must be between 0 and 1"),
        ("a cat -f 3 -s‸", "3", "must be between 0 and 1"),
        ("a cat -strenght ‸", "-strenght", "did you mean --strength?"),
        ("a cat -A eular ‸", "eular", "did you mean 'k_euler'?"),
        ("a cat -I nowhere.png ‸", "nowhere.png", "there is no such picture"),
        ('a cat -I "no where.png" -s 5‸', '"no where.png"', "there is no such picture"),
        ("a cat -m sdxxl ‸", "sdxxl", "did you mean 'sdxl'?"),
        ("a cat -S -1 ‸", "-1", "no picture was made in this session"),
        ("a cat -f -s 5‸", "-f", "needs"),
        ("a cat -c tip 64 ‸", "tip", "must be pairs"),
        ("a cat --sweep strength=0:2:0.5 ‸", "strength=0:2:0.5", "must be between 0 and 1"),
        ('"a cat" and ‸', "and", "words after the quoted prompt"),
        ("a cat.swap(dog -s 5 ‸", ".swap(dog", "never closed"),
        ("a cat.swap(dog |> a fox ‸", ".swap(dog", "never closed"),
        ("a cat |> a dog -f 9 ‸", "9", "must be between 0 and 1"),
        ("a cat -U 3 -s 5 ‸", "3", "the factor must be 2, 4 or 8"),
        ("!hist ‸", "!hist", "did you mean !history?"),
        ("!set -f 3 ‸", "3", "must be between 0 and 1"),
        ("!! -f 3 ‸", "3", "must be between 0 and 1"),
        ("!fix a.png -U x ‸", "x", "must be a number"),
        ("‸a cat -f 3", "3", "must be between 0 and 1"),
        ("a cat -f ‸3 -s 5", "3", "must be between 0 and 1"),
    ],
)
def test_the_wrong_word_is_found_with_its_message(typed: str, word: str, message: str) -> None:
    found, said = at_the_cursor(typed)
    assert found == word
    assert message in said


@pytest.mark.parametrize(
    "typed",
    [
        "a cat -f 3‸",
        "a cat -f 0.‸",
        "a cat -f‸",
        "a cat -f ‸",
        "a cat -strenght‸",
        "a cat -I nowhere.pn‸",
        "a cat -f 3‸ -s 5",
        "a cat -f 3.‸5 -s 5",
        "a cat -c top 64 right ‸",
        "a cat --control canny ‸",
        'a cat -I "no whe‸',
        '"a cat -f 3 ‸',
        "a cat -U 3 ‸",
        "a cat.swap(big ‸",
        '("a cat", "a dog").blend(0.5, ‸',
        "a cat withLora(wood, ‸",
        "a cat |> ‸",
        "a cat |> -f ‸",
        "!hist‸",
        "!set -f ‸",
        "!fetch nowhere.png ‸",
        "# a cat -f 3 ‸",
        "‸",
    ],
)
def test_an_unfinished_word_is_not_underlined(typed: str) -> None:
    assert at_the_cursor(typed) == ("", "")


@given(lines, st.data())
@example("a cat -f 3 ", None)
def test_the_underlined_span_lies_in_the_line(line: str, data: st.DataObject | None) -> None:
    cursor = data.draw(st.integers(0, len(line))) if data else len(line)
    assert line.startswith(finished(line, cursor))
    wrong = diagnose(line, cursor, resolved)
    if wrong is not None:
        assert 0 <= wrong.start <= wrong.end <= len(line)
        assert wrong.message


@settings(max_examples=400)
@given(requests, st.data())
def test_a_valid_line_is_never_underlined_while_typed(request: Request, data: st.DataObject) -> None:
    """Except for words that later ones correct, such as a factor that needs a later --upscaler."""
    assume(request.upscaler is None)
    line = render(request)
    cursor = data.draw(st.integers(0, len(line)))
    assert shown(line[:cursor], cursor) is None, line[:cursor]


def test_a_picture_is_opened_once_while_typing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tmp_path / "fire.png"
    picture.write_bytes(Path(FIRE).read_bytes())
    opened: list[str] = []
    really = opening.open_picture
    monkeypatch.setattr(
        sys.modules["invoke.images.describe"],
        "open_picture",
        lambda path, **options: opened.append(path) or really(path, **options),
    )
    line = f"a cat -I {picture} -f 0.7 -s 30 and more words"
    for cursor in range(len(line) + 1):
        shown(line[:cursor], cursor)
    assert opened == [str(picture)]


def test_only_one_of_many_pictures_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.png").write_bytes(Path(FIRE).read_bytes())
    opened: list[str] = []
    really = opening.open_picture
    monkeypatch.setattr(
        sys.modules["invoke.images.describe"],
        "open_picture",
        lambda path, **options: opened.append(path) or really(path, **options),
    )
    assert at_the_cursor(f"a cat -I {tmp_path} --sweep steps=1:500:1 -n 1000000 -v 0.1 ‸") == ("", "")
    assert opened == [str(tmp_path / "00.png")]

"""The history file: private, complete, and never a reason to fail."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.shell import history as module
from invoke.shell.history import History


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history"


def test_lines_are_kept_between_sessions(path: Path) -> None:
    first = History(path)
    assert [first.keep(line) for line in ("a cat", "a dog", "a dog")] == [1, 2, 3]
    second = History(path)
    assert second.recalled() == ["a cat", "a dog"]
    assert second.keep("a fox") == 4


def test_a_line_that_begins_with_a_space_is_not_saved(path: Path) -> None:
    history = History(path)
    assert history.keep(" a secret") is None
    assert history.keep("") is None
    assert (history.lines, path.read_bytes()) == ([], b"")


def test_the_history_file_is_private(path: Path) -> None:
    History(path).keep("a cat")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    History(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_in_place_of_the_history_is_not_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("secret\n", encoding="utf-8")
    path.parent.mkdir()
    path.symlink_to(target)
    history = History(path)
    assert history.note == f"the history is not saved: {path}: it is a link; links are not followed"
    history.keep("a cat")
    assert target.read_text(encoding="utf-8") == "secret\n"
    assert history.lines == ["a cat"], "it works within the session"


@pytest.mark.parametrize("content", [b"a cat\n\xff\xfe\n", b"a cat\0\n"])
def test_a_file_that_is_not_a_history_is_unchanged(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    history = History(path)
    assert "it is not a text file" in history.note
    history.keep("a dog")
    assert path.read_bytes() == content


def test_a_fifo_or_folder_in_its_place_does_not_hang(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    assert "is not saved" in History(path).note
    path.unlink()
    path.mkdir()
    assert "is not saved" in History(path).note


def test_an_uncreatable_folder_does_not_fail_the_shell(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History(tmp_path / "file" / "history")
    assert "is not saved" in history.note
    assert history.keep("a cat") == 1


def test_only_the_end_of_a_large_history_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_READ", 20)
    path.parent.mkdir()
    path.write_text("".join(f"line {number}\n" for number in range(100)), encoding="utf-8")
    assert History(path).lines == ["line 98", "line 99"]


def test_clear_empties_the_history_file(path: Path) -> None:
    history = History(path)
    history.keep("a cat")
    history.clear()
    assert (history.lines, path.read_bytes()) == ([], b"")


def test_no_history_writes_no_file(tmp_path: Path) -> None:
    history = History()
    history.keep("a cat")
    history.clear()
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1), max_size=5))
def test_saved_lines_are_read_back(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("state") / "history"
    history = History(path)
    for line in lines:
        history.keep(line)
    assert History(path).lines == history.lines


def test_two_shells_share_their_line_numbers(path: Path) -> None:
    one, other = History(path), History(path)
    assert [one.keep("a cat"), other.keep("a dog"), one.keep("a fox"), other.keep("a fox")] == [1, 2, 3, 4]
    assert one.line(2) == "a dog"
    assert one.find("fox") == [(3, "a fox"), (4, "a fox")]
    assert History(path).line(4) == "a fox"
    other.clear()
    assert one.line(1) is None
    assert one.keep("a hen") == 1


def test_a_repeated_line_gets_a_new_number_and_is_recalled_once(path: Path) -> None:
    history = History(path)
    assert [history.keep(line) for line in ("a cat", "a cat", "a dog", "a cat")] == [1, 2, 3, 4]
    assert history.recalled() == ["a cat", "a dog", "a cat"]


def test_lines_of_a_large_file_keep_their_numbers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(path)
    for number in range(1, 101):
        history.keep(f"line {number}")
    monkeypatch.setattr("invoke.shell.history.LARGEST_READ", 200)
    again = History(path)
    assert again.first > 50
    assert again.line(100) == "line 100"
    assert again.line(again.first) == f"line {again.first}"
    assert again.keep("a cat") == 101

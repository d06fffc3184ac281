"""Completion of files and of pictures of the session."""

import os
from itertools import count
from pathlib import Path

import pytest
from PIL import Image
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from invoke.images.header_size import picture_size
from invoke.language.complete import suggest
from invoke.shell import completer
from invoke.shell.completer import TableCompleter, sources
from tests.shell.talk import Talk


def test_completed_pictures_show_their_size(talk: Talk) -> None:
    Image.new("RGB", (40, 30)).save("a.png")
    Path("b.png").write_text("no picture", encoding="utf-8")
    Path("c").mkdir()
    Path("c/d").mkdir()
    found = suggest("a cat -I ", sources(talk.session))
    assert [(each.text, each.about) for each in found] == [
        ("a.png", "40×30"),
        ("b.png", "no picture"),
        ("c/", "folder"),
    ]


def test_pictures_and_seeds_of_the_session_are_completed(talk: Talk) -> None:
    talk.type("a cat -S 7")
    assert [each.text for each in suggest("a dog -S ", sources(talk.session))] == ["7"]
    first = suggest("a dog -I -", sources(talk.session))[0]
    assert (first.text, Path(first.about).name) == ("-1", "000001.7.png")


def test_wildcard_files_are_completed_from_all_folders(talk: Talk, tmp_path: Path) -> None:
    talk.session.wildcards = (Path("wildcards"), tmp_path / "home")
    for file in ("wildcards/colours.txt", "wildcards/animals/cats.txt", "home/colours.txt", "home/coats.txt"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text("one\n", encoding="utf-8")
    found = [each.text for each in suggest("a {red|__co", sources(talk.session))]
    assert found == ["__coats__", "__colours__"]
    assert [each.text for each in suggest("a house with __animals/", sources(talk.session))] == ["__animals/cats__"]


def test_set_reset_completes_what_was_set(talk: Talk) -> None:
    assert suggest("!set reset ", sources(talk.session)) == []
    talk.type("!set -W 512 --fit")
    found = suggest("!set reset ", sources(talk.session))
    assert [(each.text, each.about) for each in found] == [("-W", "-W 512"), ("-T", "--fit")]


def test_models_are_completed_by_name(talk: Talk) -> None:
    assert "sd-1.5" in [each.text for each in suggest("!switch ", sources(talk.session))]


def test_an_unreadable_folder_completes_nothing(talk: Talk) -> None:
    assert suggest("a cat -I nowhere/", sources(talk.session)) == []
    Path("loop").symlink_to("loop")
    assert [each.text for each in suggest("a cat -o lo", sources(talk.session))] == []


def test_names_that_are_not_utf8_are_not_completed(talk: Talk) -> None:
    os.close(os.open(b"caf\xe9.png", os.O_CREAT | os.O_WRONLY))
    Path("cat.png").touch()
    assert [found.text for found in suggest("a cat -I c", sources(talk.session))] == ["cat.png"]


def test_pictures_are_opened_within_a_time_limit(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of an answer is measured in benchmarks/completion.py."""
    Image.new("RGB", (40, 30)).save("first.png")
    for number in range(5000):
        os.link("first.png", f"IMG {number:05}.png")
    ticks = count()
    monkeypatch.setattr(completer, "perf_counter", lambda: next(ticks) * completer.BUDGET / 10)
    opened: list[str] = []
    monkeypatch.setattr(completer, "picture_size", lambda path: opened.append(path) or picture_size(path))
    found = list(TableCompleter(lambda: sources(talk.session)).get_completions(Document("a -I IMG"), CompleteEvent()))
    assert len(found) == 1000
    assert (found[0].text, found[-1].text) == ('"IMG 00000.png"', '"IMG 04999.png"')
    assert (found[0].display_meta_text, found[-1].display_meta_text) == ("40×30", "")
    assert len(opened) == 10

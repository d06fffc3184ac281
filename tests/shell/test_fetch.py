"""`!fetch`: from a picture back to its line."""

import shutil
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from invoke.shell.repl import Entry
from tests.shell.talk import Talk

LINE = "a cat -s 2 -S 7 -W 256 -H 256 -C 5 -A ddim -m pocket --no-defaults"


@pytest.fixture
def made(talk: Talk) -> Talk:
    talk.type("a cat -S 7")
    return talk


@pytest.mark.parametrize("name", ["out/000001.7.png", "000001.7.png", '"out/000001.7.png"', "out/*.png"])
def test_fetch_puts_the_line_on_the_prompt(made: Talk, name: str) -> None:
    made.type(f"!fetch {name}")
    assert made.entry == Entry(LINE)


def test_fetch_accepts_a_name_with_spaces_without_quotes(made: Talk) -> None:
    shutil.copy("out/000001.7.png", "a copy.png")
    made.type("!fetch a copy.png")
    assert made.entry == Entry(LINE)


def test_fetch_without_a_name_takes_the_most_recent_picture(made: Talk) -> None:
    made.type("a dog -S 8", "!fetch -2")
    assert made.entry == Entry(LINE)
    made.type("!fetch -3")
    assert "picture -3: only 2 pictures were made in this session" in made.err
    assert made.entry == Entry("!fetch -3", 7)


def test_the_fetched_line_makes_the_same_picture(made: Talk) -> None:
    made.type("!fetch 000001.7.png", lambda entry: entry.text)
    assert made.engine.requests[0] == made.engine.requests[1]


def test_fetch_writes_many_lines_to_a_file_that_replay_reads(made: Talk) -> None:
    made.type("a dog -S 8", "!fetch out/*.png lines.txt")
    assert "2 lines written to lines.txt" in made.err
    dog = LINE.replace("cat", "dog").replace("-S 7", "-S 8")
    expected = f"# out/000001.7.png\n{LINE}\n# out/000002.8.png\n{dog}\n"
    assert Path("lines.txt").read_text(encoding="utf-8") == expected
    made.type("!replay lines.txt")
    assert made.engine.requests[2:] == made.engine.requests[:2]


def test_fetch_writes_one_line_to_a_file(made: Talk) -> None:
    made.type("!fetch 000001.7.png line.txt")
    assert Path("line.txt").read_text(encoding="utf-8").endswith(f"{LINE}\n")


def test_fetch_counts_pictures_without_a_recipe(made: Talk) -> None:
    Image.new("RGB", (8, 8)).save("out/plain.png")
    made.type("!fetch out/*.png lines.txt", "!fetch out/plain.png")
    output = made.err
    assert "1 line written to lines.txt; 1 file had no recipe" in output
    assert "error: out/plain.png: this picture has no recipe that can be read" in output


def test_fetch_never_overwrites_a_file(made: Talk) -> None:
    Path("lines.txt").write_text("mine", encoding="utf-8")
    made.type("!fetch out/*.png lines.txt")
    assert "error: lines.txt: a file of this name exists already" in made.err
    assert Path("lines.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("!fetch", "!fetch needs a picture"),
        ("!fetch nowhere.png", "there is no such picture"),
        ("!fetch *.jpg", "there is no such picture"),
        ("!fetch out/*.png nowhere/lines.txt", "nowhere/lines.txt: cannot be written: No such file or directory"),
    ],
)
def test_fetch_refuses_files_without_a_recipe(made: Talk, line: str, said: str) -> None:
    made.type(line)
    assert said in made.err
    assert made.entry.text == line


def test_fetch_of_many_pictures_needs_a_file(made: Talk) -> None:
    made.type("a dog", "!fetch out/*")
    assert "error: 2 pictures have that name" in (output := made.err)
    assert "name a file to write their lines to: !fetch out/* lines.txt" in output


def test_fetch_escapes_control_characters_of_a_recipe(talk: Talk) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Dream", "a cat\x1b[2J\n!quit\u202e -s 5")
    Image.new("RGB", (8, 8)).save("evil.png", pnginfo=info)
    talk.type("!fetch evil.png")
    assert talk.entry.text.isprintable()

"""Choosing among pictures: addresses, !show, !open, !compare, !keep, !drop."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from invoke.outputs import ledger
from tests.batches import Batches
from tests.shell.talk import Talk


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Talk:
    monkeypatch.chdir(tmp_path)
    return Talk(tmp_path)


def test_a_picture_is_addressed_by_line_and_index(talk: Talk) -> None:
    talk.type("a cat -n 3 -S 7 -W 256 -H 256", "a dog -I 1.3 -f 0.5 -W 256 -H 256", "a fox -I 1.1 -f 0.5 -W 256 -H 256")
    assert [request.init_image for request in talk.engine.requests[3:]] == [
        f"{talk.folder}/out/000001.9.png",
        f"{talk.folder}/out/000001.7.png",
    ]
    assert "[1.3] " in talk.out


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("1.4", "-I/--init_img 1.4: line 1 made 3 pictures in this session"),
        ("2.1", "-I/--init_img 2.1: line 2 made no picture in this session"),
    ],
)
def test_a_missing_picture_is_an_error_at_its_column(talk: Talk, typed: str, sentence: str) -> None:
    talk.type("a cat -n 3 -W 256 -H 256", f"a dog -I {typed}")
    assert sentence in talk.err
    assert talk.entry.column == len("a dog -I ")


def test_a_file_with_the_name_of_an_address_takes_precedence(talk: Talk) -> None:
    talk.type("a cat -S 7 -W 256 -H 256")
    (talk.folder / "out" / "000001.7.png").rename(talk.folder / "1.1")
    talk.type("a dog -I 1.1 -W 256 -H 256")
    assert talk.engine.requests[-1].init_image == "1.1"


def test_show_prints_the_details_of_a_picture(talk: Talk) -> None:
    talk.type("a cat -S 7 -n 2 -W 256 -H 256")
    capsys = talk.err
    talk.type("!show 1.2", "!show", f"!show {talk.folder}/out/000001.7.png", "!show 1")
    output = talk.err
    assert output.count("16×16") == 3
    assert f"{talk.folder}/out/000001.8.png · " in output
    assert "txt2img · 2 steps · cpu float32\n" in output
    assert "a cat -s 2 -S 8" in output
    assert "1 matches 2 pictures, but one is expected" in output
    assert capsys


def test_undo_restores_a_picture_of_another_folder(talk: Talk) -> None:
    talk.type("a cat -S 7 -o elsewhere -W 256 -H 256", "!drop", "!undo")
    assert "back: elsewhere/000001.7.png" in talk.err


def test_reused_line_numbers_address_the_new_pictures(talk: Talk) -> None:
    talk.type("a cat -S 7 -W 256 -H 256", "!clear", "a dog -n 2 -S 5 -W 256 -H 256", "!show 1.2", "!show 1.3")
    assert f"{talk.folder}/out/000002.6.png · " in (output := talk.err)
    assert "picture 1.3: line 1 made 2 pictures in this session" in output


def test_a_deleted_picture_is_an_error(talk: Talk) -> None:
    talk.type("a cat -S 7 -W 256 -H 256")
    (talk.folder / "out" / "000001.7.png").unlink()
    assert talk.err
    talk.type("!show -1", "!show nowhere.png", "!keep 1", "!drop")
    assert talk.err.count("there is no such picture") == 4


def test_open_without_a_desktop_names_the_path(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    talk.type("a cat -S 7 -W 256 -H 256", "!open")
    assert "there is no desktop" in (output := talk.err)
    assert f"{talk.folder}/out/000001.7.png" in output


def test_compare_prints_differences_and_psnr(talk: Talk) -> None:
    talk.type("a cat -S 7 -s 3 -W 256 -H 256", "a dog -S 8 -s 4 -W 256 -H 256", "!compare 1 2")
    output = talk.err
    assert "PSNR" in output
    assert "prompt: “a cat” → “a dog”" in output
    assert "steps: 3 → 4" in output
    assert "seed: 7 → 8" in output
    assert "side by side" in output
    assert list((talk.folder / "out").glob("*.grid.png"))
    talk.type("!compare 1", "!compare 1 1")
    output = talk.err
    assert "!compare expects two pictures" in output
    assert "the same pixels" in output


def test_kept_and_dropped_pictures_are_found_through_the_logs(talk: Talk) -> None:
    out = talk.folder / "out"
    talk.type("a cat -S 7 -n 2 -W 256 -H 256")
    row = {"run": "x", "line": "y", "nth": 1, "picture": "z", "file": "000001.7.png", "seed": 7}
    (out / ledger.NAME).write_text(json.dumps(row) + "\n" + "torn")
    talk.type("!keep 1.1", "!drop -1", "a dog -I 1.1 -f 0.5 -W 256 -H 256")
    assert (out / "kept" / "000001.7.png").exists()
    assert (out / ".trash" / "000001.8.png").exists()
    assert talk.engine.requests[-1].init_image == f"{out}/kept/000001.7.png"
    log = (out / "invoke_log.txt").read_text()
    assert f"{out}/kept/000001.7.png: a cat" in log
    assert f"{out}/.trash/000001.8.png: a cat" in log
    assert "](kept/000001.7.png)" in (out / "invoke_log.md").read_text()
    rows = (out / ledger.NAME).read_text()
    assert '"file": "kept/000001.7.png"' in rows
    assert rows.endswith("torn")
    talk.type("!undo")
    assert (out / "000001.8.png").exists()
    assert f"{out}/000001.8.png: a cat" in (out / "invoke_log.txt").read_text()
    talk.type("!undo", "!keep 1.1")
    assert ".trash is empty" in (output := talk.err)
    assert "in kept/ already" in output


@pytest.mark.parametrize(("command", "into"), [("!keep 1.1", "kept/"), ("!drop 1.1", ".trash/"), ("!undo", "")])
def test_a_name_with_spaces_is_found_in_the_logs_where_it_was_moved_to(talk: Talk, command: str, into: str) -> None:
    talk.type('a cat -S 7 -W 256 -H 256 --fnformat "mon château ({seed}).png"')
    talk.type(*(["!drop 1.1"] if command == "!undo" else []), command)
    out, name = talk.folder / "out", "mon château (7).png"
    assert (out / into / name).exists()
    assert f"]({quote(into + name)})" in (out / "invoke_log.md").read_text(encoding="utf-8")
    assert f"{out}/{into}{name}: a cat" in (out / "invoke_log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["invoke_log.txt", "invoke_log.md", ledger.NAME])
def test_a_picture_stays_where_a_log_cannot_be_rewritten(talk: Talk, name: str) -> None:
    """Whichever of the three it is, the others say again where the picture is."""
    batch = Batches(talk.folder / "out")
    batch.run(["a cat -S 7 -W 256 -H 256"])
    logs = ["invoke_log.txt", "invoke_log.md", ledger.NAME]
    before = {log: (batch.folder / log).read_text(encoding="utf-8") for log in logs}
    (batch.folder / name).rename(talk.folder / "elsewhere")
    (batch.folder / name).symlink_to(talk.folder / "elsewhere")
    talk.type(f"!keep {batch.folder}/000001.7.png")
    assert "it is a link" in talk.err
    assert [path.name for path in batch.pictures] == ["000001.7.png"]
    assert before == {log: (batch.folder / log).read_text(encoding="utf-8") for log in logs}

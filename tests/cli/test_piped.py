"""`-I -`: the init picture comes through the standard input (spec, section 3)."""

import io
import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from invoke.cli.stdin import Piped
from invoke.outputs import metadata
from tests import preloaded
from tests.batches import Batches, T
from tests.program import COMMAND, ROOT, forked, invoke

FIRE = ROOT / "test-pictures" / "fire-drawing.png"


def made(batches: Batches, data: bytes, line: str = "a fire -I - -f 0.5 -S 1", **more: bool) -> T:
    return batches.run([line], piped=Piped(io.BytesIO(data)), as_json=True, **more)


def test_a_piped_picture_is_saved_once_and_named_in_the_line(batches: Batches) -> None:
    data = FIRE.read_bytes()
    kept = batches.folder / "piped" / f"{sha256(data).hexdigest()[:16]}.png"
    for _ in range(2):
        result = made(batches, data)
        assert result.engine.requests[0].init_image == str(kept)
    assert kept.read_bytes() == data
    assert list(kept.parent.iterdir()) == [kept]
    recipe = metadata.read(batches.pictures[0])
    assert recipe is not None
    assert f"-I {kept} " in recipe.line
    assert result.of_type("plan")[0]["switches"]["init_img"] == "-", "a plan tells what was typed"


def test_a_chain_can_start_from_a_piped_picture(batches: Batches) -> None:
    result = made(batches, FIRE.read_bytes(), "a fire -I - -f 0.5 |> a forest -f 0.3")
    assert result.status == 0
    assert len(batches.pictures) == 2


def test_a_dry_run_saves_no_piped_picture(batches: Batches) -> None:
    result = made(batches, FIRE.read_bytes(), dry_run=True)
    assert result.of_type("plan")[0]["images"][0]["mode"] == "img2img"
    assert not batches.folder.exists()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_piped_picture_keeps_its_format(batches: Batches, kind: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, kind)
    assert made(batches, stream.getvalue()).status == 0
    (kept,) = (batches.folder / "piped").iterdir()
    with Image.open(kept) as image:
        assert image.format == kind
    assert kept.suffix.lower() in {".jpg", ".webp", ".gif", ".tif", ".bmp"}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "-I -: there is no picture on standard input"),
        (b"%PDF-1.4", "the picture from the standard input: this is PDF, which cannot be read"),
        (FIRE.read_bytes()[:900], "the picture from the standard input: this picture is damaged"),
    ],
)
def test_piped_data_that_is_not_a_picture_is_refused_and_not_saved(
    batches: Batches, data: bytes, sentence: str
) -> None:
    error = made(batches, data).of_type("error")[0]
    assert error["message"].startswith(sentence)
    assert error["column"] == len("a fire -I ")
    assert not (batches.folder / "piped").exists()


def test_a_piped_picture_that_is_too_large_is_not_read_to_its_end(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invoke.cli.stdin.LARGEST_FILE", 2**20)
    stream = io.BytesIO(bytes(2**22))
    result = batches.run(["a fire -I -"], piped=Piped(stream), as_json=True)
    assert "too large: at most 1 MB are allowed" in result.of_type("error")[0]["message"]
    assert stream.tell() == 2**20 + 1


def test_a_picture_is_refused_where_lines_come_from_stdin() -> None:
    done = forked("--dry-run", stdin="a cat\na fire -I - -f 0.5\n")
    assert done.status == 1
    assert "line 2, column 11: error: -I -: the lines come from standard input, so a picture cannot" in done.stderr


@pytest.mark.parametrize("line", ["a fire -I fire.png -M -", "a fire --init_color -"])
def test_only_the_init_picture_can_be_piped(line: str) -> None:
    done = forked("--dry-run", line.replace("fire.png", str(FIRE)))
    assert "-: cannot read a picture from standard input here" in done.stderr
    assert done.status == 1


def test_a_saved_line_with_a_piped_picture_is_reproducible(tiny_model: Path, tmp_path: Path) -> None:
    places = ["-m", str(tiny_model), "-o", str(tmp_path), "--offline", "--save_intermediates", "0"]
    with FIRE.open("rb") as stream:
        words = ["a fire", "-I", "-", "-f", "0.5", "-S", "7", "-s", "4", "-W64", "-H64"]
        command, env = [*COMMAND, "-q", *places, *words], os.environ | preloaded.environment()
        subprocess.run(command, stdin=stream, cwd=ROOT, check=True, env=env)
    recipe = metadata.read(tmp_path / "000001.7.png")
    assert recipe is not None
    again = invoke("-q", *places, recipe.line)
    assert again.status == 0, again.stderr
    with Image.open(tmp_path / "000001.7.png") as first, Image.open(tmp_path / "000002.7.png") as second:
        assert first.tobytes() == second.tobytes()

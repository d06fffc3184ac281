"""A folder made by version 0.1.0 can still be read, verified and resumed."""

import re
import shutil
from pathlib import Path

import pytest

from invoke.commands.verify import compare
from invoke.images import read_pixels
from invoke.outputs import metadata
from tests.program import ROOT, invoke

DATA = ROOT / "tests" / "data" / "made-by-0.1.0"
OPTIONS = ("--device", "cpu", "--precision", "float32", "--offline", "-o", "made", "--save_intermediates", "0")
LOST = "000002.3.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(DATA, tmp_path, dirs_exist_ok=True)
    shutil.copy(ROOT / "test-pictures" / "fire-drawing.png", tmp_path)
    return tmp_path


def _logged() -> dict[str, str]:
    rows = (DATA / "made" / "invoke_log.txt").read_text(encoding="utf-8").splitlines()
    return dict(row.removeprefix("made/").split(": ", maxsplit=1) for row in rows)


@pytest.mark.parametrize("name", sorted(_logged()))
def test_the_metadata_of_0_1_0_contains_the_logged_line(name: str) -> None:
    recipe = metadata.read(str(DATA / "made" / name))
    assert recipe is not None
    assert recipe.line == _logged()[name]
    assert recipe.request is not None
    assert recipe.facts is not None
    assert recipe.facts.versions["invoke-shell"] == "0.1.0"


def test_pictures_of_0_1_0_are_verified_and_made_again(folder: Path) -> None:
    """Libraries and CPUs differ in the last bits, so a picture may be close instead of the same."""
    lines = "".join(f"{line}\n" for line in _logged().values())
    made = invoke(*OPTIONS, stdin=f"!verify made/0*.?.png\n{lines}", cwd=folder)
    assert made.status == 0, made.stderr
    for name in _logged():
        assert re.search(rf"^made/{re.escape(name)}: (same|close)", made.stdout, re.MULTILINE)
    again = [folder / "made" / f"00000{number}.{seed}.png" for number, seed in ((3, 1), (4, 2), (5, 3))]
    for name, picture in zip(_logged(), again, strict=True):
        assert compare(name, read_pixels(str(DATA / "made" / name)), read_pixels(str(picture))).kind != "different"


def test_a_killed_batch_of_0_1_0_is_resumed(folder: Path) -> None:
    """As if killed before its last picture: only that one is made."""
    made = folder / "made"
    ledger = made / ".invoke-ledger.jsonl"
    rows = ledger.read_text(encoding="utf-8").splitlines(keepends=True)
    ledger.write_text("".join(rows[:-2]), encoding="utf-8")
    for name in (LOST, "000002.grid.png"):
        (made / name).unlink()
    before = {file.name: file.read_bytes() for file in made.glob("*.png")}
    done = invoke(*OPTIONS, "--resume", stdin=(DATA / "lines.txt").read_bytes(), cwd=folder)
    assert done.status == 0, done.stderr
    assert {Path(path).name for path in done.paths} == {LOST, "000002.grid.png"}
    assert {name: (made / name).read_bytes() for name in before} == before
    assert {file.name for file in made.glob("*.png")} == {*before, LOST, "000002.grid.png"}

"""An unusable folder: given in a line, that line fails; given for all lines, the batch ends."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from invoke.cli.stdin import Piped
from invoke.errors import ExitStatus
from tests.batches import Batches
from tests.program import forked


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A picture, where a folder must be."""
    Image.new("RGB", (64, 64)).save(tmp_path / "a-file.png")
    return tmp_path / "a-file.png"


def test_a_line_with_an_unusable_folder_fails_alone(batches: Batches, file: Path) -> None:
    bad = [f"a dog -o {file}", f"a fox |> an owl -o {file}", f"!mask {file} -tm x -o {file}", "a hen -o /proc/x"]
    result = batches.run(["a cat", *bad, "a bird"], as_json=True)
    assert batches.prompts() == {"a cat": 1, "a bird": 1}
    assert [(event["line"], event.get("column")) for event in result.of_type("error")] == [
        (number, line.rindex(" -o ") + 1) for number, line in enumerate(bad, start=2)
    ]
    assert result.status is ExitStatus.FAILED
    assert len(result.engine.requests) == 2, "nothing is drawn that cannot be saved"


def test_other_lines_of_the_same_group_are_made(batches: Batches, file: Path) -> None:
    result = batches.run(["a cat", f"a dog -o {file}", "a bird"], batch_size=4)
    assert batches.prompts() == {"a cat": 1, "a bird": 1}
    assert f"line 2, column 7: error: {file}: this is not a folder" in result.stderr


def test_a_piped_picture_is_saved_in_the_folder_of_its_line(batches: Batches, file: Path) -> None:
    piped = Piped(BytesIO(file.read_bytes()))
    result = batches.run([f"a cat -I - -o {file}", "a dog -I -"], piped=piped)
    assert batches.prompts() == {"a dog": 1}
    assert f"line 1, column 12: error: {file / 'piped'}: this is not a folder" in result.stderr


@pytest.mark.parametrize("lines", [["a cat", "a bird"], ["!set -o {file}", "a bird", "a dog"]])
def test_an_unusable_default_folder_ends_the_batch(batches: Batches, file: Path, lines: list[str]) -> None:
    lines = [line.format(file=file) for line in lines]
    result = batches.run(lines, as_json=True, **({} if "!set" in lines[0] else {"outdir": str(file)}))
    assert [event["line"] for event in result.of_type("error")] == [len(lines) - 1]
    assert result.status is ExitStatus.UNUSABLE


@pytest.mark.parametrize("line", ["a cat -o {file}", "!mask {file} -tm x -o {file}", "!fix {file} -U 2 0 -o {file}"])
def test_a_dry_run_refuses_a_file_where_a_folder_must_be(batches: Batches, file: Path, line: str) -> None:
    result = batches.run([line.format(file=file), "a dog"], dry_run=True)
    assert f"error: {file}: this is not a folder (choose another folder with -o)" in result.stderr
    assert "line 2: " in result.stderr
    assert result.stderr.endswith("; 1 line failed\n")
    assert not batches.folder.exists()


def test_a_single_line_with_an_unusable_folder_exits_with_3(file: Path) -> None:
    done = forked("a cat -o", file, "--dry-run")
    assert (done.status, done.stderr) == (3, f"error: {file}: this is not a folder (choose another folder with -o)\n")

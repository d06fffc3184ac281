"""Unusual surroundings: lost streams, other encodings, no home folder, impossible file names."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded
from tests.program import COMMAND, ROOT, forked, invoke

SMALL = ["-s", "1", "-W", "64", "-H", "64", "-S", "7", "--save_intermediates", "0"]


@pytest.mark.parametrize("lost", ["2>/dev/full", "2>&-", "2</dev/null"])
def test_pictures_are_made_when_stderr_is_closed_or_full(tmp_path: Path, lost: str) -> None:
    words = [*COMMAND, *SMALL, "-o", str(tmp_path), "a fire"]
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {lost}', "bash", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env=os.environ | preloaded.environment(),
    )
    assert (done.stdout, done.returncode) == (f"{tmp_path}/000001.7.png\n", 0)


@pytest.mark.parametrize(("word", "status"), [("--stepz=3", 2), ("--config=nowhere.yaml", 3), ("a well -lit room", 1)])
def test_the_exit_status_is_right_when_stderr_is_full(word: str, status: int) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run([*COMMAND, "--dry-run", word], stderr=full, cwd=ROOT, check=False)
    assert done.returncode == status


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_valid_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    done = subprocess.run(
        [*COMMAND, "--dry-run", "--json", "künstliches 🔥"], capture_output=True, cwd=ROOT, check=True
    )
    events = [json.loads(line.decode(encoding)) for line in done.stdout.splitlines()]
    assert events[1]["prompt"] == "künstliches 🔥"


def test_a_path_printed_to_a_pipe_can_be_opened(tmp_path: Path) -> None:
    """The family in the folder's name is held together by characters that a terminal is not shown."""
    done = invoke(*SMALL, "-q", "-o", tmp_path / "👨‍👩‍👧", "a fire")
    assert Path(done.stdout.removesuffix("\n")).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x.png", "x" * 300])
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["a fire -I {}"], 1),
        (["a fire -I test-pictures/fire-drawing.png -M {}"], 1),
        (["a fire -m {}"], 3),
        (["!fix {} -U 2"], 1),
        (["!mask {} -tm hair"], 1),
        (["--from-file", "{}"], 2),
        (["--config", "{}", "a fire"], 3),
    ],
)
def test_a_missing_file_with_an_odd_name_is_one_error(words: list[str], status: int, name: str) -> None:
    done = forked("--dry-run", "-q", *(word.format(name) for word in words))
    assert done.status == status
    assert name in done.stderr
    assert "unexpectedly" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_name_that_is_not_utf8_is_printed(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    done = subprocess.run(
        [*COMMAND, "--dry-run", "x", "-I", name], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: this is not UTF-8: byte 0xe9 (if it is a file's name, rename the file)")


def test_a_home_that_is_not_a_folder_counts_as_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/dev/null")
    assert forked("--dry-run", "a fire").status == 0


@pytest.mark.parametrize("words", [["a fire"], ["--dry-run", "a fire"], ["--json", "a fire"], ["!config"]])
def test_a_deleted_working_folder_is_one_error(tmp_path: Path, words: list[str]) -> None:
    gone = f'mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir ../gone && exec "$@"'
    done = subprocess.run(
        ["bash", "-c", gone, "bash", *COMMAND, *SMALL, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 3)
    assert done.stderr.splitlines()[-2:] == [
        "invoke: the working folder cannot be used: No such file or directory",
        "  change to another folder with cd",
    ]


def test_an_error_shows_a_files_text_without_its_control_characters(tmp_path: Path) -> None:
    models = tmp_path / "models.yaml"
    models.write_text('"a\\e[31mb": {weights: x, colour: red}\n')
    done = forked("--config", models, "a fire")
    assert "a\\x1b[31mb: there is no field 'colour'" in done.stderr
    assert "\x1b" not in done.stderr


def test_ctrl_c_during_imports_is_silent() -> None:
    code = """
import os, signal, sys

class Early:
    def find_spec(self, name, *_):
        if name == "invoke.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Early())
from invoke.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")

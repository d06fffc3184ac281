"""Commands outside the prompt: what makes sense works, what would have no effect is refused, and says what to type."""

from pathlib import Path

import pytest

from invoke import errors
from invoke.language.launch import read_arguments
from tests.batches import Batches
from tests.program import ROOT, forked, invoke


def test_fetch_prints_the_line(batches: Batches) -> None:
    made = batches.run(["a fire -S 5"]).stdout.strip()
    fetched = forked(f"!fetch {made}")
    assert fetched.stdout.startswith("a fire -s 2 -S 5 ")


def test_what_changes_later_lines_only_is_refused_alone() -> None:
    for line, hint in {"!set -s 20": "invoke -s 20", "!switch pocket": "invoke -m NAME"}.items():
        done = forked(line)
        assert (done.status, done.stdout) == (1, "")
        assert "affects only later lines" in done.stderr
        assert hint in done.stderr


def test_in_a_file_it_has_its_effect(batches: Batches) -> None:
    done = batches.run(["!set -s 3", "a fire -S 1"], as_json=True)
    assert done.of_type("plan")[0]["images"][0]["steps"] == 3


def test_replay_says_what_to_type(batches: Batches) -> None:
    assert "invoke --from-file FILE" in batches.run(["!replay lines.txt"]).stderr


def test_yes_behind_a_command_answers_it(tmp_path: Path) -> None:
    models = tmp_path / "models.yaml"
    models.write_text("mine:\n  weights: nowhere.safetensors\n")
    no = forked("--config", models, "!del_model mine")
    assert "mine:" in models.read_text(), no.stderr
    yes = forked("--config", models, "!del_model mine --yes")
    assert yes.status == 0, yes.stderr
    assert "mine:" not in models.read_text()


def test_a_file_of_lines_changes_no_list(tmp_path: Path) -> None:
    """Files of lines come from other people, too."""
    models = tmp_path / "models.yaml"
    models.write_text("mine:\n  weights: nowhere.safetensors\n")
    done = forked("--config", models, "--from-file", "-", stdin="!del_model mine --yes\n")
    assert done.status == 1
    assert "works only at the prompt" in done.stderr
    assert "mine:" in models.read_text()


def test_a_dry_run_changes_no_list(tmp_path: Path) -> None:
    models = tmp_path / "models.yaml"
    models.write_text("mine:\n  weights: nowhere.safetensors\n")
    before = models.read_bytes()
    forked("--dry-run", "--config", models, "!del_model mine --yes")
    forked("--dry-run", "--config", models, "!edit_model mine width 640")
    assert models.read_bytes() == before


def test_example_copies_once_and_writes_over_nothing(tmp_path: Path) -> None:
    first = forked("!example", cwd=tmp_path)
    assert first.status == 0, first.stderr
    assert "-I test-pictures/fire-drawing.png" in first.stdout
    (tmp_path / "test-pictures" / "mask.png").write_bytes(b"mine")
    assert "has everything already" in forked("!example", cwd=tmp_path).stdout
    assert (tmp_path / "test-pictures" / "mask.png").read_bytes() == b"mine"
    names = {path.name for path in (ROOT / "test-pictures").iterdir()}
    assert {path.name for path in (tmp_path / "test-pictures").iterdir()} == names


@pytest.mark.parametrize("words", [["doctor"], ["--device", "cpu", "doctor"]])
def test_doctor_needs_no_mark(words: list[str]) -> None:
    assert read_arguments(words).line == "!doctor"


def test_a_doctor_who_is_painted() -> None:
    assert read_arguments(['"doctor"']).line == '"doctor"'
    assert read_arguments(["doctor", "-s", "5"]).line == "doctor -s 5"


def test_the_doctor_tells_what_a_report_needs() -> None:
    done = invoke("doctor")
    assert done.status == 0, done.stderr
    for fact in ("invoke", "Python", "libraries", "torch", "engine", "cpu", "terminal", "free disk"):
        assert fact in done.stdout
    assert "MISSING" not in done.stdout


def test_an_internal_error_advises_it() -> None:
    assert "invoke doctor" in errors.unexpected(ValueError("x"), "log").hint

"""Commands outside the prompt: useful ones work, those without effect are refused with a hint."""

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


def test_a_command_that_affects_only_later_lines_is_refused_alone() -> None:
    for line, hint in {"!set -s 20": "invoke -s 20", "!switch pocket": "invoke -m NAME"}.items():
        done = forked(line)
        assert (done.status, done.stdout) == (1, "")
        assert "affects only later lines" in done.stderr
        assert hint in done.stderr


def test_set_in_a_file_affects_its_lines(batches: Batches) -> None:
    done = batches.run(["!set -s 3", "a fire -S 1"], as_json=True)
    assert done.of_type("plan")[0]["images"][0]["steps"] == 3


def test_replay_outside_the_prompt_names_from_file(batches: Batches) -> None:
    assert "invoke --from-file FILE" in batches.run(["!replay lines.txt"]).stderr


def test_yes_answers_the_question_of_a_command(tmp_path: Path) -> None:
    models = tmp_path / "models.yaml"
    models.write_text("mine:\n  weights: nowhere.safetensors\n")
    no = forked("--config", models, "!del_model mine")
    assert "mine:" in models.read_text(), no.stderr
    yes = forked("--config", models, "!del_model mine --yes")
    assert yes.status == 0, yes.stderr
    assert "mine:" not in models.read_text()


def test_commands_in_a_file_do_not_change_the_list_of_models(tmp_path: Path) -> None:
    """Files of lines may come from other people."""
    models = tmp_path / "models.yaml"
    models.write_text("mine:\n  weights: nowhere.safetensors\n")
    done = forked("--config", models, "--from-file", "-", stdin="!del_model mine --yes\n")
    assert done.status == 1
    assert "works only at the prompt" in done.stderr
    assert "mine:" in models.read_text()


def test_a_dry_run_does_not_change_the_list_of_models(tmp_path: Path) -> None:
    models = tmp_path / "models.yaml"
    models.write_text("mine:\n  weights: nowhere.safetensors\n")
    before = models.read_bytes()
    forked("--dry-run", "--config", models, "!del_model mine --yes")
    forked("--dry-run", "--config", models, "!edit_model mine width 640")
    assert models.read_bytes() == before


def test_example_copies_the_pictures_and_overwrites_nothing(tmp_path: Path) -> None:
    first = forked("!example", cwd=tmp_path)
    assert first.status == 0, first.stderr
    assert "-I test-pictures/fire-drawing.png" in first.stdout
    (tmp_path / "test-pictures" / "mask.png").write_bytes(b"mine")
    assert "has everything already" in forked("!example", cwd=tmp_path).stdout
    assert (tmp_path / "test-pictures" / "mask.png").read_bytes() == b"mine"
    names = {path.name for path in (ROOT / "test-pictures").iterdir()}
    assert {path.name for path in (tmp_path / "test-pictures").iterdir()} == names


@pytest.mark.parametrize("words", [["doctor"], ["--device", "cpu", "doctor"]])
def test_invoke_doctor_works_without_a_mark(words: list[str]) -> None:
    assert read_arguments(words).line == "!doctor"


def test_doctor_in_quotes_or_with_switches_is_a_prompt() -> None:
    assert read_arguments(['"doctor"']).line == '"doctor"'
    assert read_arguments(["doctor", "-s", "5"]).line == "doctor -s 5"


def test_doctor_prints_versions_device_and_folders() -> None:
    done = invoke("doctor")
    assert done.status == 0, done.stderr
    for fact in ("invoke", "Python", "libraries", "torch", "engine", "cpu", "terminal", "free disk"):
        assert fact in done.stdout
    assert "MISSING" not in done.stdout


def test_an_internal_error_names_doctor() -> None:
    assert "invoke doctor" in errors.unexpected(ValueError("x"), "log").hint

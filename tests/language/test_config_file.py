"""The user's own file of settings, and `!config`, which shows and writes it."""

import re
from pathlib import Path

import pytest

from invoke.errors import LONGEST_MESSAGE, CommandError, RequestError
from invoke.language.config_file import read_settings, write_commented
from invoke.language.launch import read_arguments
from invoke.language.launch_options import OPTIONS
from invoke.language.switches import SWITCHES, by_name
from invoke.paths import config_file
from tests.program import forked
from tests.shell.talk import Talk

LAUNCH = [row for row in SWITCHES if row.launch and not (row.pending or row.obsolete)]
LASTING = [option for option in OPTIONS if not (option.once or option.pending)]


def settings(text: str) -> Path:
    """The user's file, saying `text`."""
    config_file().parent.mkdir(parents=True, exist_ok=True)
    config_file().write_text(text, encoding="utf-8")
    return config_file()


def test_each_commented_line_of_the_file_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "new" / "config.yaml"
    write_commented(file)
    assert not list(read_settings(file).words())
    commented = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"^# (?=\w+: )", "", commented, flags=re.MULTILINE), encoding="utf-8")
    found = read_settings(file)
    assert set(found.defaults) == {row.name for row in LAUNCH}
    for name, value in found.defaults.items():
        if by_name()[name].default not in (None, ()):
            assert value == by_name()[name].default, name
    assert set(found.options) == {option.name for option in LASTING}
    assert not any(found.on(option.name) for option in LASTING if option.is_flag)


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("steps: 30\nfit: true\nkarras: no", ["-s", "30", "--fit", "--no-karras"]),
        ("device: cuda:1\nprecision: bfloat16", ["--device", "cuda:1", "--precision", "bfloat16"]),
        ("offline: true\nno_history: true", ["--offline", "--no-history"]),
        ("offline: false\nhistory: false", ["--no-offline", "--no-history"]),
        ("no-graphs: no", ["--graphs"]),
        ("preview: off\nediting-mode: vi", ["--preview", "off", "--editing-mode", "vi"]),
        ("max_memory: 7.5", ["--max_memory", "7.5"]),
        ("model: sd-1.5\nnegative_prompt: rain, snow", ["-m", "sd-1.5", "--negative_prompt", "rain, snow"]),
        ("# nothing\n", []),
    ],
)
def test_the_file_accepts_launch_options_and_switches(text: str, typed: list[str]) -> None:
    assert read_settings(settings(text)) == read_arguments(typed)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("stepz: 9", "line 1: stepz: there is no such setting, did you mean 'steps'?"),
        ("# mine\nsteps: 9\ndevize: cpu", "line 3: devize: there is no such setting, did you mean 'device'?"),
        ("device: cuba", "line 1: device must be auto, cpu, cuda, cuda:N or mps, not 'cuba', did you mean 'cuda'?"),
        ("precision: flaot16", "line 1: precision must be one of auto float32 tf32 float16 bfloat16, not 'flaot16'"),
        ("max_memory: much", "line 1: max_memory must be a number, not 'much'"),
        ("steps: many", "line 1: -s/--steps must be a whole number, not 'many'"),
        ("offline: maybe", "line 1: offline: must be true or false, not 'maybe'"),
        ("fit: 3", "line 1: fit: must be true or false, not '3'"),
        ("steps:", "line 1: steps: must be a word or a number"),
        ("steps: [1, 2]", "line 1: steps: must be a word or a number"),
        ("seed: 7", "line 1: seed: belongs in a line; it cannot be a default"),
        ("resume: true", "line 1: resume: applies to a single launch; it cannot be a default"),
    ],
)
def test_an_invalid_setting_is_an_error_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_settings(settings(text))
    assert caught.value.message.startswith(f"{config_file()}, {sentence}")


def test_launch_options_override_the_file() -> None:
    settings("precision: bfloat16\noffline: true\nsteps: 9\nfit: true\n")
    below = read_settings(config_file())
    launch = read_arguments(["--precision", "float32", "--no-offline", "-s", "4"]).over(below)
    assert launch.options["precision"] == "float32"
    assert not launch.on("offline")
    assert launch.defaults == {"steps": 4, "fit": True}


def test_config_init_never_overwrites_a_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("steps: 9\n")
    with pytest.raises(RequestError, match="this file already exists and is kept"):
        write_commented(file)
    assert file.read_text() == "steps: 9\n"
    with pytest.raises(RequestError, match="cannot be written: Not a directory"):
        write_commented(file / "folder" / "config.yaml")


def test_config_prints_paths_and_settings_in_a_script(home: Path) -> None:
    shown = forked("!config").stdout
    folder = home / "config" / "invoke-shell"
    assert f"defaults    {folder}/config.yaml  (not there: !config init writes it)\n" in shown
    assert f"models      {folder}/models.yaml  (not there: !import_model writes it)\n" in shown
    assert f"wildcards   {folder}/wildcards  (not there: for --wild)\n" in shown
    assert f"history     {home}/state/invoke-shell/history  (not there)\n" in shown
    assert f"errors      {home}/state/invoke-shell/errors.log\n" in shown
    assert shown.endswith("it sets     nothing\n")
    assert forked("!config init").stdout.startswith(f"defaults    {folder}/config.yaml\n")
    with config_file().open("a", encoding="utf-8") as file:
        file.write("steps: 9\nfit: true\npreview: off\noffline: true\n")
    assert forked("!config").stdout.endswith("it sets     --offline --preview off -s 9 --fit\n")
    again = forked("!config init")
    assert again.status == 1
    assert "this file already exists and is kept" in again.stderr
    assert read_settings(config_file()).defaults == {"steps": 9, "fit": True}


def test_config_init_in_a_dry_run_writes_no_file() -> None:
    assert forked("--dry-run", "!config init").status == 0
    assert not config_file().exists()


def test_config_works_at_the_prompt(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.type("!config")
    assert "it sets     nothing" in talk.err
    talk.type("!config init", "!config nonsense")
    output = talk.err
    assert output.startswith(f"written: {config_file()};")
    assert f"defaults    {config_file()}\n" in output
    assert "error: !config takes nothing, or init\n  !config nonsense\n          ^^^^^^^^\n" in output
    assert config_file().exists()


def test_a_broken_file_is_named_with_its_path(tmp_path: Path) -> None:
    settings("stepz: 9\n")
    talk = Talk(tmp_path)
    talk.type("!config")
    assert f"error: {config_file()}, line 1: stepz: there is no such setting" in talk.err


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 3000, "k_euler" + "9" * 5000])
def test_a_very_long_value_is_shortened_in_the_error(value: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_settings(settings(f"steps: '{value}'"))
    assert "line 1: -s/--steps must be a whole number, not '" in caught.value.message
    assert len(caught.value.message) <= LONGEST_MESSAGE

"""The user's own file of defaults, and `!config`, which shows and writes it."""

import re
from pathlib import Path

import pytest

from invoke.errors import RequestError
from invoke.home.settings import config_file, read_defaults, write_commented
from invoke.switches import SWITCHES, by_name
from tests.program import invoke
from tests.shell.talk import Talk

LAUNCH = [row for row in SWITCHES if row.launch and not (row.pending or row.obsolete)]


def test_the_commented_file_sets_nothing_and_any_of_its_lines_may_be_uncommented(tmp_path: Path) -> None:
    file = tmp_path / "new" / "config.yaml"
    write_commented(file)
    assert read_defaults(file) == {}
    commented = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"^# (?=\w+: )", "", commented, flags=re.MULTILINE), encoding="utf-8")
    found = read_defaults(file)
    assert set(found) == {row.name for row in LAUNCH}
    for name, value in found.items():
        if by_name()[name].default not in (None, ()):
            assert value == by_name()[name].default, name


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("steps: 9\n")
    with pytest.raises(RequestError, match="this file is there already, and is kept"):
        write_commented(file)
    assert file.read_text() == "steps: 9\n"
    with pytest.raises(RequestError, match="cannot be written: Not a directory"):
        write_commented(file / "folder" / "config.yaml")


def test_config_in_a_script(home: Path) -> None:
    shown = invoke("!config").stdout
    folder = home / "config" / "invoke-shell"
    assert f"defaults    {folder}/config.yaml  (not there: !config init writes it)\n" in shown
    assert f"models      {folder}/models.yaml  (not there: !import_model writes it)\n" in shown
    assert f"wildcards   {folder}/wildcards  (not there: for --wild)\n" in shown
    assert f"history     {home}/state/invoke-shell/history  (not there)\n" in shown
    assert f"errors      {home}/state/invoke-shell/errors.log\n" in shown
    assert shown.endswith("it sets     nothing\n")
    assert invoke("!config init").stdout.startswith(f"defaults    {folder}/config.yaml\n")
    with config_file().open("a", encoding="utf-8") as file:
        file.write("steps: 9\nfit: true\n")
    assert invoke("!config").stdout.endswith("it sets     -s 9 --fit\n")
    again = invoke("!config init")
    assert again.status == 1
    assert "this file is there already, and is kept" in again.stderr
    assert read_defaults(config_file()) == {"steps": 9, "fit": True}


def test_a_dry_run_writes_no_file() -> None:
    assert invoke("--dry-run", "!config init").status == 0
    assert not config_file().exists()


def test_config_at_the_prompt(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.type("!config")
    assert "it sets     nothing" in talk.err
    talk.type("!config init", "!config nonsense")
    said = talk.err
    assert f"defaults    {config_file()}\n" in said
    assert "error: !config takes nothing, or init\n  !config nonsense\n          ^^^^^^^^\n" in said
    assert config_file().exists()


def test_a_broken_file_is_told_where_it_is(tmp_path: Path) -> None:
    write_commented(config_file())
    config_file().write_text("stepz: 9\n")
    talk = Talk(tmp_path)
    talk.type("!config")
    assert f"error: {config_file()}: stepz: there is no switch --stepz" in talk.err

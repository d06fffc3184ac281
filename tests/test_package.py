"""The package: every imported library is declared, and the metadata is complete."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from invoke.__main__ import LIBRARIES, main
from tests.program import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "ruamel": "ruamel.yaml",
    "cv2": "opencv-python-headless",
    "prompt_toolkit": "prompt-toolkit",
}
"""Distributions whose modules have another name."""


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]


def _names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {match[0].lower() for match in found if match}


def test_every_library_that_is_imported_is_declared() -> None:
    imported = {name for file in (ROOT / "invoke").rglob("*.py") for name in _imported(file)}
    foreign = imported - set(sys.stdlib_module_names) - {"invoke"}
    declared = _names(PROJECT["dependencies"])
    optional = {
        name for extra, rows in PROJECT["optional-dependencies"].items() if extra != "dev" for name in _names(rows)
    }
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} <= declared | optional
    assert not declared & optional


def test_every_library_is_pinned_in_constraints() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    wanted = _names(PROJECT["dependencies"]) | {
        name for rows in PROJECT["optional-dependencies"].values() for name in _names(rows)
    }
    assert {name.replace("_", "-") for name in wanted} - {"invoke-shell"} <= pinned


def test_libraries_checked_at_start_are_the_declared_dependencies() -> None:
    assert {DISTRIBUTIONS.get(name, name) for name in LIBRARIES} - {"ruamel.yaml"} <= _names(PROJECT["dependencies"])
    assert len(LIBRARIES) == len(PROJECT["dependencies"])


def test_an_incomplete_installation_names_the_missing_libraries(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules.update(torch=None, yaml=None)\n")
    found = subprocess.run(
        [sys.executable, "-m", "invoke", "a castle"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    repair = f"{sys.executable} -m pip install invoke-shell"
    assert (found.returncode, found.stdout) == (3, "")
    assert found.stderr == f"invoke: the installation is incomplete, without torch, yaml: {repair}\n"


@pytest.mark.parametrize(
    ("attribute", "value", "sentence"),
    [
        (
            "platform",
            "win32",
            "invoke: Windows itself is not supported; wsl --install, then install invoke-shell there "
            "(the GPU works in WSL)\n",
        ),
        (
            "version_info",
            (3, 10, 13),
            "invoke: needs Python 3.11 or newer, and this is 3.10: pipx install --python python3.11 invoke-shell\n",
        ),
    ],
)
def test_an_unsupported_platform_or_python_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], attribute: str, value: object, sentence: str
) -> None:
    monkeypatch.setattr(sys, attribute, value)
    status = main()
    monkeypatch.undo()
    assert (status, capsys.readouterr().err) == (3, sentence)


def test_the_package_metadata_is_complete() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert (ROOT / "invoke" / "py.typed").exists()
    assert {"Source", "Documentation", "Changelog", "Issues"} <= set(PROJECT["urls"])


def test_the_model_card_names_licence_data_and_limits() -> None:
    card = (ROOT / "invoke" / "pocket" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert {"## What it was trained on", "## What it knows", "## What it cannot do"} <= set(card.splitlines())


def test_ci_reports_progress_and_failures_of_installing() -> None:
    rows = "".join(f"Collecting part{number}==1.0 (from all)\n" for number in range(1, 21))
    pip = f"import sys; print({rows!r} + 'no such thing'); sys.exit(3)"
    command = [sys.executable, str(ROOT / ".ci" / "installing.py"), sys.executable, "-c", pip]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("  10 packages\n  20 packages\nCollecting part1==1.0")
    assert done.stderr.endswith("no such thing\n")

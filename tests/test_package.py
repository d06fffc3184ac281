"""What is installed: every library that is imported is declared, and the metadata says what people look for."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.program import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml", "cv2": "opencv-python-headless", "prompt_toolkit": "prompt-toolkit"}
"""Distribution of a module that is called otherwise."""


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


def test_every_library_is_pinned() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    wanted = _names(PROJECT["dependencies"]) | {
        name for rows in PROJECT["optional-dependencies"].values() for name in _names(rows)
    }
    assert {name.replace("_", "-") for name in wanted} - {"invoke-shell"} <= pinned


def test_the_metadata_is_whole() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert (ROOT / "invoke" / "py.typed").exists()
    assert {"Source", "Documentation", "Changelog", "Issues"} <= set(PROJECT["urls"])


def test_the_model_card_names_licence_data_and_limits() -> None:
    card = (ROOT / "invoke" / "pocket" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert {"## What it was trained on", "## What it knows", "## What it cannot do"} <= set(card.splitlines())


def test_while_packages_are_installed_it_says_how_far_it_is_and_what_failed() -> None:
    rows = "".join(f"Collecting part{number}==1.0 (from all)\n" for number in range(1, 21))
    pip = f"import sys; print({rows!r} + 'no such thing'); sys.exit(3)"
    command = [sys.executable, str(ROOT / ".ci" / "installing.py"), sys.executable, "-c", pip]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("  10 packages\n  20 packages\nCollecting part1==1.0")
    assert done.stderr.endswith("no such thing\n")

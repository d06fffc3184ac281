"""The docs are current: generated parts, valid example lines, every switch and command."""

import re
import runpy
from pathlib import Path

import pytest

from invoke.language.command_table import COMMANDS
from invoke.language.launch import read_arguments
from invoke.language.launch_options import OPTIONS
from invoke.language.parse import Draft, Nothing, read
from invoke.language.switches import SWITCHES
from tests.program import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = re.compile(r"^    (?!\[|img2img|txt2img|inpaint|steps|variations|note)(?:invoke> )?(\S.*)$", re.MULTILINE)
"""Indented lines are typed, except for those that show output."""


GENERATED = runpy.run_path(str(ROOT / "docs" / "generate.py"))


@pytest.mark.parametrize("page", GENERATED["PAGES"], ids=lambda page: page.name)
def test_the_generated_parts_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert GENERATED["generate"](text) == text, "run `python docs/generate.py`"
    assert "<!-- end -->" in text


def test_the_manual_page_is_current() -> None:
    assert (ROOT / "docs" / "invoke.1").read_text(encoding="utf-8") == GENERATED["manual_page"](), (
        "run docs/generate.py"
    )


def test_every_switch_and_command_is_named() -> None:
    switches = (ROOT / "docs" / "switches.md").read_text(encoding="utf-8")
    assert [row.name for row in SWITCHES if f"`--{row.name}`" not in switches] == []
    commands = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [row.name for row in COMMANDS if f"`!{row.name}" not in commands] == []
    assert [row.name for row in OPTIONS if f"--{row.name.replace('_', '-')}" not in commands] == []


def _guide() -> list[tuple[str, str]]:
    """The rows of the table about diffusers' guide: the typed line, and the test for it."""
    page = (ROOT / "docs" / "coming-from-diffusers.md").read_text(encoding="utf-8")
    table = page.split("<!-- guide -->")[1].split("<!-- /guide -->")[0]
    rows = re.findall(r"^\| (?!what|---).*? \| `(.+)` \| `(.+)` \|$", table, re.MULTILINE)
    return [(line.replace("\\|", "|"), test) for line, test in rows]


@pytest.mark.parametrize(("line", "test"), _guide())
def test_every_row_of_the_diffusers_guide_parses_and_names_a_test(line: str, test: str) -> None:
    if line.startswith("invoke "):
        read_arguments(line.split()[1:])
    else:
        read(line)
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_the_diffusers_guide_is_in_the_docs() -> None:
    assert len(_guide()) >= 15


def _examples() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").split("<!-- switches -->")[0]
        found += [(page.name, line) for line in EXAMPLE.findall(text)]
    return found


@pytest.mark.parametrize(("page", "line"), _examples(), ids=lambda text: text[:50])
def test_every_example_line_parses(page: str, line: str) -> None:
    """Lines for the system shell begin with `invoke`, `make` or a pipe; all others are for the prompt."""
    if re.match(r"(make|pip|cd|python|generate-prompts)\b", line):
        return
    if line.startswith("invoke "):
        import shlex

        words = shlex.split(line.split("<", maxsplit=1)[0], comments=True)
        launch = read_arguments(words[1:])
        line = launch.line or ""
    parsed = read(line)
    assert isinstance(parsed, Draft | Nothing) or line.startswith("!")


def test_every_embedded_picture_exists() -> None:
    for page in PAGES:
        for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_index_has_every_page_once_in_four_groups() -> None:
    menu = runpy.run_path(str(ROOT / "docs" / "site.py"))["menu"]()
    assert len(menu) == 4
    listed = [page for group in menu.values() for page in group.values()]
    assert sorted(listed) == sorted(page.name for page in PAGES[1:] if page.name != "README.md")


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 125
    assert (ROOT / "docs" / "README.md").exists()


def test_every_link_has_a_target() -> None:
    for page in PAGES:
        for target in re.findall(r"(?<!!)\[[^]]*\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (Path(page.parent) / target).exists(), f"{page.name}: {target}"

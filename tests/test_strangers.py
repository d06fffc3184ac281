"""Hostile surroundings: modules in the working folder, names with bidirectional controls."""

import subprocess
import sys
from pathlib import Path

from prompt_toolkit.layout.screen import Char

from invoke.shell.editor import show_escaped
from tests.patience import PATIENCE
from tests.program import ROOT


def test_no_module_of_the_working_folder_is_imported(tmp_path: Path) -> None:
    for name in ("platformdirs", "yaml", "PIL"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the working folder')")
    code = f"import sys, runpy; sys.path.insert(1, {str(ROOT)!r}); sys.argv = ['invoke', '--dry-run', 'a fire']\n"
    code += "runpy.run_module('invoke', run_name='__main__', alter_sys=True)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "1 picture" in done.stderr


def test_bidirectional_controls_are_escaped_in_the_prompt_and_its_menus() -> None:
    """The line, completion menus, the toolbar: all of it goes through the cells of prompt_toolkit."""
    show_escaped()
    assert Char("\u202e").char == "\\u202e"
    assert Char("\u2066").char == "\\u2066"
    assert Char("\x1b").char == "^["
    assert Char("ä").char == "ä"
    assert Char("\u200d").char == "\u200d", "emoji are held together by it"

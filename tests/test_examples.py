"""The scripts in examples/ run unchanged, and each makes a picture."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded
from tests.patience import PATIENCE
from tests.program import ROOT

SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def test_the_readme_names_every_example() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert SCRIPTS
    assert [script.name for script in SCRIPTS if f"`{script.name}`" not in text] == []


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_example_makes_a_picture(script: Path, tmp_path: Path) -> None:
    (tmp_path / "test-pictures").symlink_to(ROOT / "test-pictures")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
        env=os.environ | preloaded.environment(),
    )
    assert (done.returncode, done.stderr) == (0, "")
    named = [word for word in done.stdout.split() if word.endswith(".png")]
    assert named
    assert all((tmp_path / name).exists() for name in named)

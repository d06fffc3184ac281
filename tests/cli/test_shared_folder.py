"""The task runner on PyPI with the same package folder: one clear message."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import ROOT

RUN = "import sys; sys.path.insert(0, sys.argv[1]); from invoke.cli.main import main; sys.exit(main(['--version']))"


@pytest.mark.parametrize(("file", "text"), [("collection.py", ""), ("__init__.py", "__version__ = '3.0.3'")])
def test_a_clash_with_the_task_runner_invoke_is_detected(tmp_path: Path, file: str, text: str) -> None:
    """The runner was installed before us (its modules lie about) or after us (our `__init__` is gone)."""
    shutil.copytree(ROOT / "invoke", tmp_path / "invoke", ignore=shutil.ignore_patterns("pocket", "__pycache__"))
    (tmp_path / "invoke" / file).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 3
    assert "another package owns the folder `invoke`" in done.stderr
    assert "Traceback" not in done.stderr


def test_importing_the_task_runner_names_the_clash() -> None:
    with pytest.raises(ImportError, match="belongs to invoke-shell, not to the task runner"):
        from invoke import Context  # noqa: F401

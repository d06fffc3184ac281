"""Every conversation has its own folder."""

from pathlib import Path

import pytest

from tests.shell.talk import Talk


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Talk:
    monkeypatch.chdir(tmp_path)
    return Talk(tmp_path)

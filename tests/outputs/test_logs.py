"""Rows of the logs that could not be written yet."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from invoke.outputs import logs


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two folders whose logs had no room for a row, and have room again."""
    monkeypatch.setattr(logs, "_waiting", {})
    folders = tmp_path / "a", tmp_path / "b"

    def full(*given: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for folder in folders:
            folder.mkdir()
            logs.append(folder, f"{folder}/000001.7.png", "a cat -S 7")
            assert not logs.flush(folder), "its rows still wait"
    return folders


def rows(folder: Path) -> list[list[str]]:
    return [[*logs.names(folder, name)] for name in (logs.TEXT, logs.MARKDOWN)]


def test_pending_rows_are_flushed_per_folder(two: tuple[Path, Path]) -> None:
    first, second = two
    assert rows(first) == [[], []]
    assert logs.flush(first)
    assert rows(first) == [["000001.7.png"]] * 2
    assert rows(second) == [[], []]
    assert logs.flush(second)
    assert rows(second) == [["000001.7.png"]] * 2


def test_pending_rows_are_written_before_later_ones(two: tuple[Path, Path]) -> None:
    folder, _ = two
    logs.append(folder, f"{folder}/000002.8.png", "a dog -S 8")
    assert rows(folder) == [["000001.7.png", "000002.8.png"]] * 2


def test_a_torn_row_names_no_file(tmp_path: Path) -> None:
    logs.append(tmp_path, f"{tmp_path}/000001.7.png", "a cat -S 7")
    for name, torn in ((logs.TEXT, "000002.8.png\n\n"), (logs.MARKDOWN, "## 000002.8.png")):
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(torn)
    assert rows(tmp_path) == [["000001.7.png"]] * 2

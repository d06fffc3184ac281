"""Warm engines for tests: a folder for them, and none left at its end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from invoke.engine.process.warm import finding, socket_folder
from invoke.engine.process.warm.finding import cool
from tests.patience import PATIENCE, until

START = "importlib.import_module(sys.argv[2])"
"""Stands in the words of every engine's process."""


@contextmanager
def engines_at(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of warm engines within the block; at its end they are ended, and none may be left."""
    folder = home / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    # a busy machine is not a hanging engine
    monkeypatch.setattr(socket_folder, "GREETING", PATIENCE)
    monkeypatch.setattr(finding, "PATIENCE", PATIENCE)
    try:
        yield folder / "invoke-warm"
        until(lambda: cool() is not None and not left(home))  # again, since one in use begins to wait later
    finally:
        for process in left(home):
            with suppress(psutil.Error):
                process.kill()
    assert not waiting()


def left(home: Path) -> list[psutil.Process]:
    """The engines that were started under this home."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if START in " ".join(process.cmdline()) and process.environ().get("HOME") == str(home):
                found.append(process)
    return found


def waiting() -> list[str]:
    """The sockets that are there."""
    with socket_folder.opened() as folder:
        return [] if folder is None else os.listdir(folder)  # noqa: PTH208 - a descriptor

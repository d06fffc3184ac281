"""Engine processes for tests, forked from one that has already imported torch: ten times as fast.

`sitecustomize.py` lies on PYTHONPATH where `preloaded` is asked for: the Python that is to become an engine hands its
streams over to the server (`server.py`), which forks; it ends as the fork does, and the fork ends with it. Tests of
the process itself (signals, imports, downloads) go without. The workers of one `pytest -n` share a server.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from shutil import rmtree

HERE = Path(__file__).parent
SOCKET = "INVOKE_TESTS_PRELOADED"
_started: list[tuple["subprocess.Popen[bytes]", Path]] = []
_shared: list["subprocess.Popen[bytes]"] = []
"""The server started by this process for all test workers; it ends after the last of them."""


def environment() -> Mapping[str, str]:
    """Environment variables that make a program fork its engines from the server; starts the server if necessary."""
    if not hasattr(os, "fork"):
        return {}
    search = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
    return {SOCKET: str(_server()), "PYTHONPATH": search}


@cache
def _server() -> Path:
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None or not hasattr(os, "pidfd_open"):
        folder = Path(tempfile.mkdtemp(prefix="preloaded-"))
        server = _start(folder)
        _started.append((server, folder))
        return folder / "socket"
    folder = Path(tempfile.gettempdir()) / f"preloaded-{run}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "socket").exists():
            _shared.append(_start(folder, str(os.getppid())))
    return folder / "socket"


def _start(folder: Path, *owner: str) -> "subprocess.Popen[bytes]":
    """A server that ends with the process `owner`, or else with its standard input."""
    command = [sys.executable, "-m", "tests.preloaded.server", str(folder / "socket"), *owner]
    pipe = subprocess.PIPE
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL if owner else pipe, stdout=pipe, cwd=HERE.parents[1], start_new_session=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    return server


def stop() -> None:
    """End the server; its forks end with the programs that requested them."""
    while _started:
        server, folder = _started.pop()
        server.kill()
        server.communicate()
        rmtree(folder, ignore_errors=True)
    _server.cache_clear()

"""Engines' processes for tests, forked from one that has imported torch already: a tenth of the time.

`sitecustomize.py` lies on PYTHONPATH where `preloaded` is asked for: the Python that is to become an engine hands its
streams over to the server (`server.py`), which forks; it ends as the fork does, and the fork ends with it. Tests of
the process itself (signals, imports, downloads) go without.
"""

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


def environment() -> Mapping[str, str]:
    """What makes engines of a program come from the server, which is started for the first one."""
    if not hasattr(os, "fork"):
        return {}
    search = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
    return {SOCKET: str(_server()), "PYTHONPATH": search}


@cache
def _server() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="preloaded-"))
    place = folder / "socket"
    command = [sys.executable, "-m", "tests.preloaded.server", str(place)]
    pipe = subprocess.PIPE
    server = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=HERE.parents[1], start_new_session=True)
    _started.append((server, folder))
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    return place


def stop() -> None:
    """End the server; its forks end with those who asked for them."""
    while _started:
        server, folder = _started.pop()
        server.kill()
        server.communicate()
        rmtree(folder, ignore_errors=True)
    _server.cache_clear()

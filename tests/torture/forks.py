"""One fork per fault: modules are imported once, and forks do not affect each other."""

import json
import logging
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from tests.patience import PATIENCE


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a fork."""

    status: int
    """Its exit status; negative: the signal that ended it."""
    said: str
    seconds: float
    hung: bool = False


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of its own, with a home in it."""
    path = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        yield path
    finally:
        rmtree(path, ignore_errors=True)


def homed(path: Path, *, syncing: bool = True) -> None:
    """In a fork: put settings, history and logs below `path`. Without `syncing`, `fsync` does nothing."""
    logging.getLogger("invoke").addHandler(logging.NullHandler())
    logging.getLogger("invoke").propagate = False
    if not syncing:
        os.fsync = lambda descriptor: None
    os.environ["HOME"] = str(path / "home")
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        os.environ[f"XDG_{name}_HOME"] = str(path / "home" / name.lower())
    (path / "home").mkdir(exist_ok=True)


def begin(work: Callable[[], tuple[int, str]], said: Path) -> int:
    """Fork, do `work` there, and write its output to `said`; return the process number."""
    pid = os.fork()
    if pid:
        return pid
    status, text = 99, ""
    try:
        os.setpgid(0, 0)
        status, text = work()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 98
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        text = traceback.format_exc()
    with suppress(OSError):
        said.write_text(json.dumps(text), encoding="utf-8")
    os._exit(status)


def wait(pid: int, said: Path, limit: float = PATIENCE) -> Ended:
    """The end of the fork `pid`, which is killed if it hangs."""
    began = time.monotonic()
    hung = False
    while True:
        done, code = os.waitpid(pid, os.WNOHANG)
        seconds = time.monotonic() - began
        if done:
            break
        if seconds > limit and not hung:
            hung = True
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        time.sleep(0.002)
    text = json.loads(said.read_text(encoding="utf-8")) if said.exists() else ""
    said.unlink(missing_ok=True)
    return Ended(os.waitstatus_to_exitcode(code), text, seconds, hung)


def run(work: Callable[[], tuple[int, str]], said: Path, limit: float = PATIENCE) -> Ended:
    """Do `work` in a fork."""
    return wait(begin(work, said), said, limit)

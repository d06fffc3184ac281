"""`python -m tests.preloaded.server SOCKET [OWNER]`: forks an engine process for each connection.

It ends with the process OWNER, and takes the folder of the socket along; without one, with its input.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any


def main(place: str, owner: int | None = None) -> None:
    end = 0 if owner is None else os.pidfd_open(owner)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _preload()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(16)
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(waker)
    forks: dict[int, socket.socket] = {}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready, _, _ = select.select([listener, woken, end], [], [])
        if end in ready:
            if owner is not None:
                rmtree(Path(place).parent, ignore_errors=True)
            return
        if woken in ready:
            os.read(woken, 4096)
            _tell_who_ended(forks)
        if listener in ready:
            asking, _ = listener.accept()
            gc.freeze()
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                _become(asking)
            forks[pid] = asking


def _preload() -> None:
    """Everything that an engine imports before its first picture."""
    import diffusers
    import transformers

    from invoke.engine import diffusion_engine
    from invoke.engine.process import worker
    from tests import tiny

    del diffusion_engine, worker, tiny
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _tell_who_ended(forks: dict[int, socket.socket]) -> None:
    for pid in [*forks]:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            with forks.pop(pid) as asking, suppress(OSError):  # it may have been killed
                asking.sendall(str(os.waitstatus_to_exitcode(code)).encode())


def _become(asking: socket.socket) -> None:
    """In a fork: run the requested module as a new Python process would."""
    status = 1
    try:
        os.setsid()
        head, streams, _, _ = socket.recv_fds(asking, 4, 3)
        told = _told(asking, int.from_bytes(head, "big"))
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(told["environment"])
        os.chdir(told["folder"])
        sys.argv = ["-c", *told["words"]]
        importlib.reload(sys.modules["huggingface_hub.constants"])  # it has read another environment
        threading.Thread(target=_end_with, args=(asking,), daemon=True).start()
        importlib.import_module(told["words"][-1]).main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


def _told(asking: socket.socket, size: int) -> dict[str, Any]:
    data = b""
    while len(data) < size:
        data += asking.recv(size - len(data))
    told: dict[str, Any] = json.loads(data)
    return told


def _end_with(asking: socket.socket) -> None:
    """End as soon as the process that requested this one has ended."""
    asking.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

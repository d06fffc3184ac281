"""Lanes that are processes of this machine (`--workers`)."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from signal import Signals
from time import monotonic

from invoke.processes import receive, send, start_child
from invoke.workers.host import Give, Setup
from invoke.workers.messages import Gone, Lost, Message, Up
from invoke.workers.task import Task

log = logging.getLogger(__name__)

HOST = "invoke.workers.host"
"""The module whose `main` a worker process runs."""
STARTS = 3
"""Consecutive starts of a worker that may fail before it is given up."""
PATIENCE = 2.0
"""Seconds that workers have to exit by themselves."""


class Processes:
    """A worker for each of `setups`, with additional environment variables; one that dies is restarted."""

    def __init__(
        self, setups: Sequence[Setup], environments: Sequence[Mapping[str, str]] = (), module: str = HOST
    ) -> None:
        self._messages: SimpleQueue[tuple[int, Message]] = SimpleQueue()
        environments = environments or [{}] * len(setups)
        self._workers = [
            _Worker(lane, setup, environment, module, self._messages)
            for lane, (setup, environment) in enumerate(zip(setups, environments, strict=True))
        ]

    def __len__(self) -> int:
        return len(self._workers)

    def give(self, lane: int, call: int, tasks: Sequence[Task]) -> None:
        """See `Lanes.give`."""
        self._workers[lane].send(Give(call, tuple(tasks)))

    def wait(self, timeout: float) -> tuple[int, Message] | None:
        """See `Lanes.wait`."""
        try:
            return self._messages.get(timeout=timeout) if timeout > 0 else self._messages.get_nowait()
        except Empty:
            return None

    def kill(self, lane: int) -> None:
        """See `Lanes.kill`."""
        self._workers[lane].kill()

    def close(self) -> None:
        """See `Lanes.close`."""
        for worker in self._workers:
            worker.begin_close()
        end = monotonic() + PATIENCE
        for worker in self._workers:
            worker.close(max(0.0, end - monotonic()))


class _Worker:
    """One process, and the thread that reads its messages and starts the next one."""

    def __init__(
        self,
        lane: int,
        setup: Setup,
        environment: Mapping[str, str],
        module: str,
        messages: SimpleQueue[tuple[int, Message]],
    ) -> None:
        self._lane, self._setup, self._environment, self._module = lane, setup, environment, module
        self._messages = messages
        self._changing = threading.Lock()
        self._is_closing = False
        self._popen = self._start()
        self._reader = threading.Thread(target=self._read, name=f"worker {lane}", daemon=True)
        self._reader.start()

    def send(self, message: object) -> None:
        """Ignore a dead process: the reading thread reports it."""
        with suppress(OSError, ValueError), self._changing:
            assert self._popen.stdin is not None
            send(self._popen.stdin, message)

    def kill(self) -> None:
        self._popen.kill()

    def begin_close(self) -> None:
        """Close its input, so that the process and its engine end."""
        with self._changing:
            self._is_closing = True
            self._close_input()

    def close(self, patience: float) -> None:
        try:
            self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._reader.join(PATIENCE)

    def _close_input(self) -> None:
        assert self._popen.stdin is not None
        with suppress(OSError):
            self._popen.stdin.close()

    def _start(self) -> subprocess.Popen[bytes]:
        popen = start_child(self._module, subprocess.DEVNULL, environment=self._environment)
        assert popen.stdin is not None
        with suppress(OSError):
            send(popen.stdin, self._setup)
        return popen

    def _read(self) -> None:
        """Read messages until the process is gone for good."""
        starts, answers = 1, self._popen.stdout
        while True:
            assert answers is not None
            message = None
            with suppress(EOFError), answers:
                while True:
                    message = receive(answers)
                    assert isinstance(message, Message)
                    starts = 0 if isinstance(message, Up) else starts
                    self._messages.put((self._lane, message))
            why = _how_it_ended(self._popen)
            with self._changing:
                if self._is_closing or isinstance(message, Gone):
                    return
                if starts >= STARTS:
                    self._messages.put((self._lane, Gone(f"it died {STARTS} times before it was ready ({why})")))
                    return
                self._messages.put((self._lane, Lost(why)))
                self._close_input()
                self._popen = self._start()
                answers, starts = self._popen.stdout, starts + 1


def _how_it_ended(popen: subprocess.Popen[bytes]) -> str:
    code = popen.wait()
    return f"killed by {Signals(-code).name}" if code < 0 else f"exit status {code}"

"""Finds warm engines: claims, lists and ends them."""

import io
import os
import random
import select
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import IO

from invoke.engine.process.warm import socket_folder
from invoke.engine.process.warm.fit import Fit, digest
from invoke.engine.process.warm.handshake import (
    CLAIM,
    END,
    STATUS,
    close_all,
    own_surroundings,
    receive_line,
    send_line,
)
from invoke.processes import UNKNOWN

PATIENCE = 1.0
"""Seconds after which a program gives up on engines that do not answer and starts its own."""
ENDING = 5.0
"""Seconds that an engine may take to end when asked to."""


class WarmEngine:
    """The process of an engine that another program started, with the interface of `subprocess.Popen`."""

    def __init__(self, connection: socket.socket, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self.returncode: int | None = None
        self.stdin: IO[bytes] = _Questions(connection)
        self.stdout: IO[bytes] = connection.makefile("rb")

    def poll(self) -> int | None:
        if self.returncode is None and _has_ended(self._pidfd, 0):
            self.returncode = UNKNOWN
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if self.poll() is None:
            if not _has_ended(self._pidfd, timeout):
                raise subprocess.TimeoutExpired("engine", timeout or 0)
            self.returncode = UNKNOWN
        return UNKNOWN

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def __del__(self) -> None:
        close_all([self._pidfd])


class _Questions(io.BufferedWriter):
    """The stream to an engine; closing it signals the end of input."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(socket.SocketIO(connection, "w"))
        self._connection = connection

    def close(self) -> None:
        if self.closed:
            return
        with suppress(OSError):
            self.flush()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            super().close()
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a waiting engine."""

    pid: int
    since: float
    """When its last program ended, in seconds since 1970."""
    left: float
    """Remaining seconds of its wait."""
    bytes: int
    """Resident memory."""
    models: tuple[str, ...]
    fit: Fit


def claim(fit: Fit, errors: int) -> WarmEngine | None:
    """Claim a waiting engine with this fit exclusively; None if there is none, or none answers.

    `errors` is a descriptor that becomes its standard error.
    """
    end = monotonic() + PATIENCE
    with socket_folder.opened() as folder:
        if folder is None:
            return None
        names = socket_folder.names(folder, digest(fit))
        random.shuffle(names)  # so that programs starting together do not all try the same one first
        for name in names:
            if monotonic() > end:
                break
            if (engine := _claim(folder, name, fit, errors)) is not None:
                return engine
    return None


def statuses() -> list[Status]:
    """All waiting engines of this user."""
    with socket_folder.opened() as folder:
        found = [_status(folder, name) for name in socket_folder.names(folder)] if folder is not None else []
    return [status for status in found if status is not None]


def cool() -> int:
    """End all waiting engines of this user; returns their number."""
    ended = 0
    with socket_folder.opened() as folder:
        for name in socket_folder.names(folder) if folder is not None else ():
            assert folder is not None
            ended += _end(folder, name)
    return ended


def _claim(folder: int, name: str, fit: Fit, errors: int) -> WarmEngine | None:
    found = socket_folder.connect(folder, name)
    if found is None:
        return None
    connection, pid = found
    descriptors: list[int] = []
    try:
        # opened before it answers, so that this process id is certainly the engine's
        pidfd = os.pidfd_open(pid)
        descriptors.append(pidfd)
        cwd = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        descriptors.append(cwd)
        message = {"ask": CLAIM, "fit": digest(fit), **own_surroundings()}
        send_line(connection, message, socket_folder.GREETING, (errors, cwd))
        answer, more = receive_line(connection, socket_folder.GREETING)
        close_all(more)
        if answer == {"claimed": pid}:
            os.close(cwd)
            descriptors.clear()
            connection.settimeout(None)
            return WarmEngine(connection, pid, pidfd)
    except (OSError, ValueError):
        pass  # it has ended, hangs, or is not an engine of ours
    close_all(descriptors)
    connection.close()
    return None


def _ask(connection: socket.socket, question: str) -> dict[str, object] | None:
    with suppress(OSError, ValueError):
        send_line(connection, {"ask": question}, socket_folder.GREETING)
        answer, more = receive_line(connection, socket_folder.GREETING)
        close_all(more)
        return answer
    return None


def _status(folder: int, name: str) -> Status | None:
    found = socket_folder.connect(folder, name)
    if found is None:
        return None
    connection, pid = found
    with connection:
        match _ask(connection, STATUS):
            case {
                "since": int() | float() as since,
                "left": int() | float() as left,
                "bytes": int() as size,
                "models": list() as models,
                "fit": dict() as fit,
            }:
                return Status(pid, since, left, size, tuple(map(str, models)), fit)
    return None


def _end(folder: int, name: str) -> int:
    """End the engine at the socket `name`, by force if it does not answer; returns how many ended (0 or 1)."""
    found = socket_folder.connect(folder, name)
    if found is None:
        return 0
    connection, pid = found
    with connection:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return 0
        try:
            _ask(connection, END)
            if not _has_ended(pidfd, ENDING):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                socket_folder.remove(folder, name)
        finally:
            os.close(pidfd)
    return 1


def _has_ended(pidfd: int, seconds: float | None) -> bool:
    """Whether the process ends within `seconds`; None: without a limit."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else 1000 * seconds))

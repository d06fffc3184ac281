"""An engine waiting for the next program: its socket, the handshake, and the reasons to end."""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from invoke.engine.process.messages import Stay
from invoke.engine.process.openmp import set_environment
from invoke.engine.process.warm import handshake, socket_folder
from invoke.engine.process.warm.fit import digest, read_files, read_kernel_file
from invoke.engine.process.warm.handshake import (
    Surroundings,
    close_all,
    is_gone,
    read_surroundings,
    receive_line,
    send_line,
)

TICK = 1.0
"""Seconds between two checks whether to end."""
SURPLUS = 10.0
"""Seconds after which an engine ends if another one with the same fit is waiting."""
UPGRADE = 3
"""Ticks between two checks of our own files."""
SHORT = 0.1
"""Fraction of free memory, of the machine or the control group, below which an engine ends."""
EXPENDABLE = 500
"""`oom_score_adj` (at most 1000) of a waiting engine: the kernel kills it before others when memory runs out."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The streams of the next program."""

    questions: BinaryIO
    answers: BinaryIO


class Waiting:
    """The wait from the end of one program to the claim by the next."""

    def __init__(self, stay: Stay, loaded: Callable[[], tuple[str, ...]], tidy: Callable[[], None]) -> None:
        """`loaded` returns the names of the models in memory; `tidy` is called after the first idle tick."""
        self._stay, self._loaded, self._tidy = stay, loaded, tidy
        self._fit = digest(stay.fit)
        self._began = _now()
        self._since = time.time()
        self._surplus_since: float | None = None
        self._is_ended = False
        """Whether a program asked this engine to end."""
        self._folder = -1
        self._listener: socket.socket | None = None
        self._name = ""

    def run(self, hang_up: Callable[[], None]) -> Claim | None:
        """Wait for a claim; None: it is time to end. `hang_up` is called once this engine can be claimed."""
        with socket_folder.opened(make=True) as folder:
            if folder is None:
                return None
            self._folder = folder
            with _expendable(), _ending_by_signal(self._withdraw):
                try:
                    self._listen()
                    hang_up()
                    return self._wait()
                except OSError:
                    return None
                finally:
                    self._withdraw()

    def _listen(self) -> socket.socket:
        _let_go()
        self._listener, self._name = socket_folder.listen(self._folder, self._fit)
        return self._listener

    def _withdraw(self) -> None:
        """Stop listening, so that this engine cannot be claimed any more."""
        if self._listener is not None:
            socket_folder.remove(self._folder, self._name)
            self._listener.close()
            self._listener = None

    def _wait(self) -> Claim | None:
        ticks = 0
        while not self._is_over(ticks):
            listener = self._listener or self._listen()
            if select.select([listener], [], [], TICK)[0]:
                connection, _ = listener.accept()
                with connection:  # the streams of a claim keep the socket open
                    try:
                        if (claim := self._greet(connection)) is not None:
                            return claim
                    except (OSError, ValueError):
                        continue  # not a program of ours, or one that gave up
            else:
                ticks += 1
                if ticks == 1:
                    self._tidy()
        return None

    def _is_over(self, ticks: int) -> bool:
        if self._listener is None:
            return self._is_ended
        now = _now()
        siblings = socket_folder.names(self._folder, self._fit)
        if siblings and siblings[0] < self._name and _is_alive(siblings[0]):
            self._surplus_since = now if self._surplus_since is None else self._surplus_since
        else:
            self._surplus_since = None
        return (
            now - self._began >= self._stay.seconds
            or (self._surplus_since is not None and now - self._surplus_since >= SURPLUS)
            or self._name not in siblings  # the user has logged out, or removed it
            or is_memory_short()
            or (ticks % UPGRADE == 0 and any(self._stay.fit.get(name) != value for name, value in read_files().items()))
        )

    def _greet(self, connection: socket.socket) -> Claim | None:
        """Handle one request of a program; returns its streams if it claims the engine.

        Raises OSError or ValueError if it belongs to another user or sends something invalid.
        """
        if socket_folder.peer(connection)[1] != os.geteuid():
            raise PermissionError
        message, descriptors = receive_line(connection, socket_folder.GREETING)
        try:
            match message.get("ask"):
                case handshake.CLAIM if message.get("fit") == self._fit and not is_gone(connection):
                    return self._claimed(connection, read_surroundings(message, descriptors))
                case handshake.STATUS:
                    send_line(connection, self._status(), socket_folder.GREETING)
                case handshake.END:
                    self._withdraw()
                    self._is_ended = True
                    send_line(connection, {}, socket_folder.GREETING)
        finally:
            close_all(descriptors)
        return None

    def _claimed(self, connection: socket.socket, surroundings: Surroundings) -> Claim:
        self._withdraw()
        _take_on(surroundings)
        send_line(connection, {"claimed": os.getpid()}, socket_folder.GREETING)
        connection.settimeout(None)
        return Claim(connection.makefile("rb"), connection.makefile("wb"))

    def _status(self) -> Mapping[str, object]:
        return {
            "pid": os.getpid(),
            "since": self._since,
            "left": self._stay.seconds - (_now() - self._began),
            "bytes": _resident(),
            "models": self._loaded(),
            "fit": dict(self._stay.fit),
        }


def is_memory_short() -> bool:
    """Whether the machine, or a control group of this process, is nearly out of memory."""
    rows = dict(row.split(":", 1) for row in read_kernel_file(Path("/proc/meminfo")).splitlines() if ":" in row)
    with suppress(KeyError, ValueError, IndexError):
        if int(rows["MemAvailable"].split()[0]) < SHORT * int(rows["MemTotal"].split()[0]):
            return True
    return any(used > (1 - SHORT) * limit for used, limit in _cgroup_memory())


def _cgroup_memory() -> Iterator[tuple[int, int]]:
    """Bytes in use, without cache, and the limit, of each control group with a limit."""
    path = next(
        (row[3:] for row in read_kernel_file(Path("/proc/self/cgroup")).splitlines() if row.startswith("0::")), ""
    )
    folder = Path("/sys/fs/cgroup") / path.strip("/")
    for group in (folder, *folder.parents):
        with suppress(ValueError, IndexError):
            limit, used = (int(read_kernel_file(group / name)) for name in ("memory.max", "memory.current"))
            rows = read_kernel_file(group / "memory.stat").splitlines()
            cached = sum(int(row.split()[1]) for row in rows if row.startswith("inactive_file "))
            yield used - cached, limit


def _let_go() -> None:
    """Release the folder and the terminal of the last program."""
    os.chdir("/")
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _take_on(surroundings: Surroundings) -> None:
    """Adopt the surroundings of the claiming program. Raises OSError."""
    os.fchdir(surroundings.folder)
    os.umask(surroundings.umask)
    for stream in (1, 2):
        os.dup2(surroundings.errors, stream)
    set_environment(surroundings.environment)


@contextmanager
def _expendable() -> Iterator[None]:
    """Context in which this process is among the first to be killed when memory runs out."""
    file = Path("/proc/self/oom_score_adj")
    before = read_kernel_file(file)
    with suppress(OSError, ValueError):
        file.write_text(str(max(int(before), EXPENDABLE)), encoding="ascii")
    try:
        yield
    finally:
        with suppress(OSError):
            file.write_text(before, encoding="ascii")


@contextmanager
def _ending_by_signal(withdraw: Callable[[], None]) -> Iterator[None]:
    """Context in which SIGTERM and SIGHUP end this process cleanly."""

    def end(number: int, frame: object) -> None:
        withdraw()
        os._exit(0)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_alive(name: str) -> bool:
    """Whether the process of the engine with this socket name exists."""
    return Path(f"/proc/{name.split('.')[1]}").exists()


def _resident() -> int:
    fields = read_kernel_file(Path("/proc/self/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE") if len(fields) > 1 else 0


def _now() -> float:
    """Seconds, including time in suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)

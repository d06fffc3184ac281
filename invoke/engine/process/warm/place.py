"""Where warm engines are found: the user's own folder, with a socket for each waiting engine.

A socket is there only while its engine waits, and its name is never used twice. Anything odd about the folder or the
socket (a link, another owner, permissions for others) counts as nothing there.
"""

import os
import re
import secrets
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from invoke.paths import state_folder

IS_SUPPORTED = sys.platform == "linux" and hasattr(os, "pidfd_open") and hasattr(socket, "SO_PEERCRED")
"""What is needed to know for sure who is at the other end: Linux has it."""
GREETING = 0.5
"""Seconds within which a program and an engine have said who they are."""
_NAME = re.compile(r"(?P<fit>[0-9a-f]{16})\.\d+\.[0-9a-f]{16}")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE = 0o700


@contextmanager
def opened(*, make: bool = False) -> Iterator[int | None]:
    """A descriptor of the folder within the block; None where there is none, or it is not the user's alone.

    `make`: it is made where it is missing.
    """
    folder = _open(make) if IS_SUPPORTED else None
    try:
        yield folder
    finally:
        if folder is not None:
            os.close(folder)


def names(folder: int, fit: str = "") -> list[str]:
    """The names of the sockets in the folder, of engines with this digest of their fit, or of all."""
    found = (_NAME.fullmatch(name) for name in os.listdir(folder))
    return sorted(match[0] for match in found if match and fit in {"", match["fit"]})


def is_any_waiting() -> bool:
    """Whether there is any engine that may fit."""
    with opened() as folder:
        return folder is not None and bool(names(folder))


def listen(folder: int, fit: str) -> tuple[socket.socket, str]:
    """A socket that programs can connect to, and its name. Raises OSError."""
    name = f"{fit}.{os.getpid()}.{secrets.token_hex(8)}"
    listener = socket.socket(socket.AF_UNIX)
    try:
        aside = f".{name}"
        listener.bind(_path(folder, aside))
        try:
            listener.listen(1)
            # only now under its name: whoever finds a socket that refuses a connection may remove it
            os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            remove(folder, aside)
            raise
    except BaseException:
        listener.close()
        raise
    return listener, name


def is_listening(folder: int, name: str) -> bool:
    """Whether the socket `name` is still there."""
    try:
        return stat.S_ISSOCK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def connect(folder: int, name: str) -> tuple[socket.socket, int] | None:
    """A connection to the engine that waits at the socket `name`, and its process number; None where there is none.

    A socket that nobody listens at any more is removed.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid():
            connection.settimeout(GREETING)
            connection.connect(_path(folder, name))
            pid, uid = peer(connection)
            if uid == os.geteuid() and pid > 0:
                return connection, pid
    except ConnectionRefusedError:
        remove(folder, name)
    except OSError:
        pass  # it was claimed, or has ended, meanwhile
    connection.close()
    return None


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process number and user of whoever is at the other end. Raises OSError."""
    form = struct.Struct("iII")
    pid, uid, _ = form.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))
    return pid, uid


def remove(folder: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)


def _path(folder: int, name: str) -> str:
    """Short, however long the path of the folder is, and certain to lie in it."""
    return f"/proc/self/fd/{folder}/{name}"


def _open(make: bool) -> int | None:
    """The folder of this session of the user, which goes with it; else one in the folder of state."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute() and (above := _own(runtime)) is not None:
        try:
            return _own("invoke-warm", above, make=make)
        finally:
            os.close(above)
    state = state_folder()
    if make:
        with suppress(OSError):
            state.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    return _own(str(state / "warm"), make=make)


def _own(path: str, above: int | None = None, *, make: bool = False) -> int | None:
    """A descriptor of the folder `path` where it is this user's and nobody else's."""
    with suppress(OSError):
        if make:
            with suppress(FileExistsError):
                os.mkdir(path, _PRIVATE, dir_fd=above)
        folder = os.open(path, _OPEN, dir_fd=above)
        found = os.fstat(folder)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077 == 0:
            return folder
        os.close(folder)
    return None

"""The private folder that holds a socket for each waiting warm engine.

A socket exists only while its engine waits, and its name is never reused. A suspicious folder or socket (a link,
another owner, permissions for others) is treated as missing.
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
"""Whether the system can reliably identify the process at the other end of a socket (Linux)."""
GREETING = 0.5
"""Timeout of the handshake between a program and an engine, in seconds."""
_NAME = re.compile(r"(?P<fit>[0-9a-f]{16})\.\d+\.[0-9a-f]{16}")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE = 0o700


@contextmanager
def opened(*, make: bool = False) -> Iterator[int | None]:
    """Context with a descriptor of the folder; None if there is none, or it is not private to the user.

    `make`: create it if it is missing.
    """
    folder = _open(make) if IS_SUPPORTED else None
    try:
        yield folder
    finally:
        if folder is not None:
            os.close(folder)


def names(folder: int, fit: str = "") -> list[str]:
    """The names of the sockets in the folder, of engines whose fit has this digest, or of all."""
    found = (_NAME.fullmatch(name) for name in os.listdir(folder))
    return sorted(match[0] for match in found if match and fit in {"", match["fit"]})


def is_any_waiting() -> bool:
    """Whether any engine is waiting."""
    with opened() as folder:
        return folder is not None and bool(names(folder))


def listen(folder: int, fit: str) -> tuple[socket.socket, str]:
    """Create a socket that programs can connect to; returns it and its name. Raises OSError."""
    name = f"{fit}.{os.getpid()}.{secrets.token_hex(8)}"
    listener = socket.socket(socket.AF_UNIX)
    try:
        aside = f".{name}"
        listener.bind(_path(folder, aside))
        try:
            listener.listen(1)
            # renamed only now: programs remove sockets that refuse connections
            os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            remove(folder, aside)
            raise
    except BaseException:
        listener.close()
        raise
    return listener, name


def is_listening(folder: int, name: str) -> bool:
    """Whether the socket `name` still exists."""
    try:
        return stat.S_ISSOCK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def connect(folder: int, name: str) -> tuple[socket.socket, int] | None:
    """Connect to the engine at the socket `name`: the connection and its process id, or None if there is none.

    A socket on which no process listens any more is removed.
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
        pass  # it was claimed or ended in the meantime
    connection.close()
    return None


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process id and user id of the other end. Raises OSError."""
    form = struct.Struct("iII")
    pid, uid, _ = form.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))
    return pid, uid


def remove(folder: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)


def _path(folder: int, name: str) -> str:
    """A path that is short, however long the folder's is, and certain to lie in that folder."""
    return f"/proc/self/fd/{folder}/{name}"


def _open(make: bool) -> int | None:
    """Open the folder in XDG_RUNTIME_DIR, which ends with the login session; else one in our state folder."""
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
    """Open the folder `path`; None unless it belongs to this user and is private."""
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

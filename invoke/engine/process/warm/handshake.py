"""The handshake between a program and a warm engine, before any pickle: one line of JSON each.

A program can claim the engine (`claim`), ask for its status (`status`), or end it (`end`).
"""

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from invoke.engine.process.warm.fit import read_kernel_file

LONGEST = 2**23
"""Size limit of a line, in bytes: environments can be long."""
CLAIM, STATUS, END = "claim", "status", "end"
_CHUNK = 2**16


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an engine adopts from the program that claims it."""

    environment: Mapping[str, str]
    umask: int
    errors: int
    """A descriptor for its standard error."""
    folder: int
    """A descriptor of the working folder."""


def own_surroundings() -> dict[str, object]:
    """This process's surroundings, without the two descriptors. Raises ValueError if they cannot be determined."""
    rows = read_kernel_file(Path("/proc/self/status")).splitlines()
    umask = next((row.split()[1] for row in rows if row.startswith("Umask:")), "")  # os.umask would change it
    return {"environment": dict(os.environ), "umask": int(umask, 8)}


def read_surroundings(message: Mapping[str, Any], descriptors: list[int]) -> Surroundings:
    """Validate the surroundings that a program sent. Raises ValueError."""
    environment, umask = message.get("environment"), message.get("umask")
    if not (
        isinstance(environment, dict)
        and all(isinstance(value, str) and name and "=" not in name for name, value in environment.items())
        and not any("\0" in text for row in environment.items() for text in row)
        and isinstance(umask, int)
        and 0 <= umask <= 0o777
        and len(descriptors) == 2
    ):
        raise ValueError("not the environment of a program")
    return Surroundings(environment, umask, *descriptors)


def send_line(
    connection: socket.socket, message: Mapping[str, object], seconds: float, descriptors: tuple[int, ...] = ()
) -> None:
    """Send a line. Raises OSError, also if it takes longer than `seconds`."""
    data = json.dumps(message).encode() + b"\n"
    connection.settimeout(seconds)
    sent = socket.send_fds(connection, [data], descriptors) if descriptors else 0
    if sent < len(data):
        connection.sendall(data[sent:])


def receive_line(connection: socket.socket, seconds: float) -> tuple[dict[str, Any], list[int]]:
    """Receive a line, and the descriptors sent with it, which the caller must close.

    Raises OSError or ValueError if no valid line arrives within `seconds`; the descriptors are then closed.
    """
    descriptors: list[int] = []
    try:
        data, end = bytearray(), monotonic() + seconds
        while not data.endswith(b"\n"):
            connection.settimeout(max(0.001, end - monotonic()))
            chunk, more, *_ = socket.recv_fds(connection, _CHUNK, 4, socket.MSG_CMSG_CLOEXEC)
            descriptors += more
            data += chunk
            if not chunk or len(data) > LONGEST or monotonic() > end:
                raise ValueError("not a line")
        message = json.loads(data)
        if not isinstance(message, dict):
            raise ValueError("not a message")
    except BaseException as error:
        close_all(descriptors)
        if isinstance(error, RecursionError):
            raise ValueError("not a message") from None
        raise
    return message, descriptors


def close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def is_gone(connection: socket.socket) -> bool:
    """Whether the other end has closed the connection."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True

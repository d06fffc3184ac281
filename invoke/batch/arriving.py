"""Lines as they arrive, with a sign wherever the next one is waited for."""

from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from threading import Thread
from typing import Final, TypeVar

PATIENCE = 0.2
"""Seconds without a line that count as waiting."""
AHEAD = 64
"""Lines that are read before they are needed, at most."""

Line = TypeVar("Line")


class Waiting:
    """The next line has not come yet."""


WAITING: Final = Waiting()


def arriving(lines: Iterable[Line], patience: float = PATIENCE) -> Iterator[Line | Waiting]:
    """`lines`, and WAITING once before each that lets wait longer than `patience` seconds; raises what they raise."""
    queue: Queue[tuple[Line] | BaseException] = Queue(AHEAD)

    def read() -> None:
        try:
            for line in lines:
                queue.put((line,))
            queue.put(StopIteration())
        except BaseException as error:  # raised again where it can be dealt with
            queue.put(error)

    Thread(target=read, name="lines", daemon=True).start()
    while True:
        try:
            came = queue.get(timeout=patience)
        except Empty:
            yield WAITING
            came = queue.get()
        match came:
            case StopIteration():
                return
            case BaseException():
                raise came
            case (line,):
                yield line

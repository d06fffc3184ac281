"""Standard input: lines as they arrive, or the picture of `-I -`.

The picture is stored in the output folder under a name made from its digest, so that the saved line stays reproducible.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import BinaryIO, Final, TypeVar

from invoke import signals
from invoke.errors import PictureError, RequestError
from invoke.images import LARGEST_FILE, decode, too_large
from invoke.language.parse import Draft
from invoke.outputs import received
from invoke.paths import expanded

PATIENCE = 0.2
"""Seconds to wait for a line before WAITING is returned."""
GLANCE = 0.02
"""The same, with workers to attend to."""
AHEAD = 64
"""Maximum number of lines read ahead."""

Line = TypeVar("Line")


class Waiting:
    """The next line has not arrived yet."""


WAITING: Final = Waiting()


def arriving(lines: Iterable[Line], patience: float = PATIENCE) -> Iterator[Line | Waiting]:
    """Yield `lines`, and WAITING every `patience` seconds without one. Exceptions of `lines` are passed on."""
    queue: Queue[tuple[Line] | BaseException] = Queue(AHEAD)

    def read() -> None:
        try:
            for line in lines:
                queue.put((line,))
            queue.put(StopIteration())
        except BaseException as error:  # raised again by the consumer
            queue.put(error)

    Thread(target=read, name="lines", daemon=True).start()
    while True:
        try:
            item = signals.get(queue, patience)
        except Empty:
            yield WAITING
            continue
        match item:
            case StopIteration():
                return
            case BaseException():
                raise item
            case (line,):
                yield line


TYPED = "-"
_NAME = "the picture from the standard input"


class Piped:
    """The picture from standard input, `stream`; None if the lines come from there."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream
        self._data: bytes | None = None
        self._aside: TemporaryDirectory[str] | None = None

    def found(self, draft: Draft, outdir: str, *, keep: bool) -> Draft:
        """`draft` with `-I -` replaced by the picture's file. Without `keep`, nothing is left in `outdir`.

        Raises RequestError, PictureError or OutputError.
        """
        if draft.before is not None:
            return replace(draft, before=self.found(draft.before, outdir, keep=keep))
        if draft.switches.get("init_img") != TYPED:
            return draft
        try:
            path = self._path(expanded(outdir) / received.FOLDER, keep=keep)
        except (RequestError, PictureError) as error:
            error.column = draft.values.get("init_img")
            raise
        return replace(draft, switches={**draft.switches, "init_img": str(path)})

    def close(self) -> None:
        """Remove the temporary file of a dry run."""
        if self._aside is not None:
            self._aside.cleanup()
            self._aside = None

    def _path(self, folder: Path, *, keep: bool) -> Path:
        data = self._read()
        if not keep:
            self._aside = self._aside or TemporaryDirectory()
            folder = Path(self._aside.name)
        return received.keep(data, folder)

    def _read(self) -> bytes:
        """Read and check the picture; it can be read only once, so it is kept."""
        if self._stream is None:
            raise RequestError(
                "-I -: the lines come from standard input, so a picture cannot",
                code="stdin_taken",
                hint="name the picture's file",
            )
        if self._data is None:
            data = b"" if self._stream.isatty() else signals.wait_for(partial(_all, self._stream))
            if len(data) > LARGEST_FILE:
                raise too_large(_NAME, f"at most {LARGEST_FILE >> 20} MB are allowed")
            if not data:
                raise PictureError(
                    "-I -: there is no picture on standard input",
                    code="picture_missing",
                    hint="cat fire.png | invoke 'a fire -I -'",
                )
            decode(_NAME, data)
            self._data = data
        return self._data


def _all(stream: BinaryIO) -> bytes:
    """Everything in `stream`, up to a little more than `LARGEST_FILE` bytes.

    The descriptor is read, not the stream: its lock, held by a thread that waits, would abort the interpreter's end.
    """
    try:
        descriptor = stream.fileno()
    except OSError:
        return stream.read(LARGEST_FILE + 1)
    data = bytearray()
    while len(data) <= LARGEST_FILE and (chunk := os.read(descriptor, 2**20)):
        data += chunk
    return bytes(data)

"""Standard output and error that write everything or raise, and hold nothing back."""

import io
import os
import select
import sys
from collections.abc import Callable
from typing import BinaryIO, TextIO, cast


def open_standard_streams() -> None:
    """Make sure that 0, 1 and 2 are streams: the first picture written must not become standard output.

    No character stops the output: what the encoding lacks is escaped.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "r" if descriptor == 0 else "w"))
    sys.stdout, sys.stderr = complete(sys.stdout), complete(sys.stderr)


def complete(stream: TextIO) -> TextIO:
    """A stream to where `stream` leads, line by line through `CompleteWriter`; `stream` itself if that is no file."""
    stream.flush()
    buffer = getattr(stream, "buffer", None)
    raw = buffer.raw if isinstance(buffer, io.BufferedWriter) else buffer
    if not isinstance(raw, io.RawIOBase) or isinstance(raw, CompleteWriter):
        return stream
    writer = cast(BinaryIO, CompleteWriter(raw, stream))  # raw streams will do where nothing is read
    return io.TextIOWrapper(writer, encoding=stream.encoding, errors="backslashreplace", line_buffering=True)


class CompleteWriter(io.RawIOBase):
    """Writes all of what it is given to `raw`, or raises OSError.

    Python's own streams do less. Unbuffered (PYTHONUNBUFFERED, usual in containers), a long text ends where a signal
    comes while it is written: a terminal's window was resized, say. Buffered, what could not be written is tried
    again at the end, and the exit status becomes 120.
    """

    def __init__(self, raw: io.RawIOBase, owner: object) -> None:
        """`owner` would close `raw` if it were forgotten."""
        self._raw, self._owner = raw, owner
        self.fileno: Callable[[], int] = raw.fileno
        self.isatty: Callable[[], bool] = raw.isatty

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        rest = memoryview(data)
        while rest:
            count = self._raw.write(rest)
            if count is None:  # another process has made the file non-blocking
                select.select((), (self._raw,), ())
            else:
                rest = rest[count:]
        return len(data)

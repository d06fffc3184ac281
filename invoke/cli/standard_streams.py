"""Standard output and error that write everything or raise, without buffering."""

import io
import os
import select
import sys
from collections.abc import Callable
from typing import BinaryIO, TextIO, cast


def open_standard_streams() -> None:
    """Make sure that descriptors 0, 1 and 2 are open; otherwise the next opened file would become standard output.

    Characters that the encoding lacks are escaped.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "r" if descriptor == 0 else "w"))
    sys.stdout, sys.stderr = complete(sys.stdout), complete(sys.stderr)


def complete(stream: TextIO) -> TextIO:
    """A line-buffered stream to the file of `stream` through `CompleteWriter`; `stream` itself if it is not a file."""
    stream.flush()
    buffer = getattr(stream, "buffer", None)
    raw = buffer.raw if isinstance(buffer, io.BufferedWriter) else buffer
    if not isinstance(raw, io.RawIOBase) or isinstance(raw, CompleteWriter):
        return stream
    writer = cast(BinaryIO, CompleteWriter(raw, stream))  # a raw stream is enough for writing
    return io.TextIOWrapper(writer, encoding=stream.encoding, errors="backslashreplace", line_buffering=True)


class CompleteWriter(io.RawIOBase):
    """Writes all data to `raw`, or raises OSError.

    Python's own streams do not guarantee this. Unbuffered (PYTHONUNBUFFERED, common in containers), a long text is cut
    off if a signal arrives during the write, such as SIGWINCH. Buffered, data that could not be written is tried again
    at exit, and the exit status becomes 120.
    """

    def __init__(self, raw: io.RawIOBase, owner: object) -> None:
        """`owner` is kept alive, as it would close `raw` when it is collected."""
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

"""Standard streams in unusual states."""

import io
import os
import subprocess
from pathlib import Path

import pytest

from invoke.cli.standard_streams import complete
from tests.program import COMMAND, ROOT


class Interrupted(io.RawIOBase):
    """A terminal on which a signal ends every write, and which is sometimes full."""

    def __init__(self) -> None:
        self.written, self.is_full = b"", False
        self._descriptor = os.open(os.devnull, os.O_WRONLY)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | memoryview") -> "int | None":  # type: ignore[override]
        self.is_full = not self.is_full
        if self.is_full:
            return None
        self.written += bytes(data[:2048])
        return min(2048, len(data))


def test_a_long_text_is_written_whole_despite_signals() -> None:
    terminal = Interrupted()
    unbuffered = io.TextIOWrapper(terminal, encoding="ascii", write_through=True)  # type: ignore[type-var]
    stream = complete(unbuffered)
    stream.write("y" * 40_000 + "ü\n")
    stream.buffer.write(b"x" * 40_000)
    assert terminal.written == b"y" * 40_000 + b"\\xfc\n" + b"x" * 40_000
    assert complete(stream) is stream


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_stdout_gives_a_status_and_an_error(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*COMMAND, "--version"], stdout=full, stderr=subprocess.PIPE, env=environment, cwd=ROOT, check=False
        )
    assert done.returncode == 3
    assert done.stderr.decode().startswith("invoke: standard output cannot be written: No space left on device\n")
    assert b"Exception" not in done.stderr

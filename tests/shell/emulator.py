"""A program on a terminal emulator: keys in, everything that appeared on the screen out."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep

import pyte
from pyte.screens import Char

from tests.patience import PATIENCE

_PICTURE = re.compile(rb"\x1b[_P].*?\x1b\\", re.DOTALL)


class FakeScreen(pyte.HistoryScreen):
    """A screen that keeps what scrolls away, also where it scrolls away because the window became lower."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(columns, lines, history=100_000, ratio=0.5)
        self.pushed: set[int] = set()
        """Which of the rows above the window left it because it became lower: no program can take these back."""

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        lines, columns = lines or self.lines, columns or self.columns
        gone = max(0, self.cursor.y + 1 - lines)
        for y in range(gone):
            self.pushed.add(len(self.history.top))
            self.history.top.append(self.buffer[y])
        if lines != self.lines:
            rows = {y: self.buffer[y + gone] for y in range(min(self.lines - gone, lines))}
            self.buffer.clear()
            self.buffer.update(rows)
            self.cursor.y -= gone
        for row in self.buffer.values():
            for x in [x for x in row if x >= columns]:
                del row[x]
        self.lines, self.columns = lines, columns
        self.cursor.x = min(self.cursor.x, columns - 1)
        self.set_margins()
        self.dirty.update(range(lines))

    @property
    def above(self) -> list[str]:
        """The rows that have scrolled away."""
        return [_text(row, 400) for row in self.history.top]

    @property
    def settled(self) -> list[str]:
        """The rows that the program scrolled away, and those of the window."""
        return [row for index, row in enumerate(self.above) if index not in self.pushed] + self.shown

    @property
    def shown(self) -> list[str]:
        """The rows of the window."""
        return [_text(self.buffer[y], self.columns) for y in range(self.lines)]


def _text(row: Mapping[int, Char], columns: int) -> str:
    last = max(row, default=-1)
    return "".join(row[x].data if x in row else " " for x in range(min(last + 1, columns))).rstrip()


class Emulated:
    """One program on its own terminal."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self.fake_screen = FakeScreen(columns, rows)
        self._stream = pyte.ByteStream(self.fake_screen)
        self._open = b""
        self.bytes = self.queries = 0
        """Written, and how often the terminal was asked something."""
        self._master, slave = pty.openpty()
        self._set_size(columns, rows)
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread is running yet
        )
        os.close(slave)

    def __enter__(self) -> "Emulated":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def send(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Everything that was written for the old size is shown first, as on a real terminal."""
        self.read(0)
        self._set_size(columns, rows)
        self.fake_screen.resize(rows, columns)

    def read(self, seconds: float) -> None:
        """Process the program's output for the given time."""
        deadline = monotonic() + seconds
        while select.select([self._master], [], [], max(0.0, deadline - monotonic()))[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the program has ended
                sleep(0.01)
                return
            self.bytes += len(data)
            self.queries += data.count(b"\x1b[6n") + data.count(b"\x1b[c")
            self._stream.feed(self._without_pictures(data))

    def _without_pictures(self, data: bytes) -> bytes:
        """pyte knows neither APC (kitty) nor DCS (sixel); one that is not whole yet waits for its end."""
        data, self._open = self._open + data, b""
        data = _PICTURE.sub(b"", data)
        begun = max(data.rfind(b"\x1b_"), data.rfind(b"\x1bP"))
        if begun >= 0:
            data, self._open = data[:begun], data[begun:]
        return data

    def wait_for(self, text: str, seconds: float = PATIENCE) -> None:
        deadline = monotonic() + seconds
        while not any(text in row for row in self.everything()):
            assert monotonic() < deadline, f"{text!r} did not appear:\n" + "\n".join(self.everything()[-60:])
            self.read(0.05)

    def wait_for_no(self, text: str) -> None:
        """Wait until `text` is gone from the window."""
        deadline = monotonic() + PATIENCE
        while any(text in row for row in self.fake_screen.shown):
            assert monotonic() < deadline, f"{text!r} did not go away:\n" + "\n".join(self.fake_screen.shown)
            self.read(0.05)

    def wait_for_end(self) -> int:
        """The exit status; what is written until then is shown."""
        deadline = monotonic() + PATIENCE
        while self.process.poll() is None:
            assert monotonic() < deadline, "it did not end:\n" + "\n".join(self.fake_screen.shown)
            self.read(0.05)
        self.read(0.05)
        return self.process.returncode

    def everything(self) -> list[str]:
        return [*self.fake_screen.above, *self.fake_screen.shown]

    def settled(self) -> list[str]:
        """Rows that the program could still change, or scrolled away."""
        return self.fake_screen.settled

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

"""Run a pip command and report its progress: `python .ci/installing.py pip install …`.

On a terminal, one row shows the current action and its time; elsewhere there is one row for every tenth package. The
end of pip's output is shown if it fails. Needs only Python.
"""

import re
import subprocess
import sys
from collections import deque
from threading import Event, Thread
from time import monotonic

KEPT = 40
"""Rows of pip's output shown on failure."""
WIDEST = 76
_NEWS = re.compile(r"\s*(Collecting|Downloading|Using cached|Building|Installing|Preparing)\b(.*)")

_WHEEL = re.compile(r"(?:\S*/)?([^-\s]+-[^-\s]+)\S* *(\(.*\))?")
"""The file of a package: its name and version, and how large it is."""


def main(command: list[str]) -> int:
    """The exit status of `command`."""
    shown = Shown()
    output: deque[str] = deque(maxlen=KEPT)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:  # noqa: S603
        assert pip.stdout is not None
        for line in pip.stdout:
            output.append(line)
            shown.take(line)
    shown.end()
    if pip.returncode:
        sys.stderr.writelines(output)
    return pip.returncode


class Shown:
    """One row that is overwritten, with a clock."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._began = monotonic()
        self._count, self._text = 0, "asking for the list of packages"
        self._over = Event()
        if self._is_terminal:
            Thread(target=self._tick, daemon=True).start()

    def take(self, line: str) -> None:
        news = _NEWS.match(line)
        if news is None:
            return
        what, rest = news[1], news[2].strip()
        if what == "Collecting":
            self._count += 1
            rest = rest.partition(" (")[0]
            if not self._is_terminal and self._count % 10 == 0:
                _write(f"  {self._count} packages\n")
        if what in ("Downloading", "Using cached"):
            rest = _WHEEL.sub(r"\1 \2", rest)
        if what == "Installing" and rest.startswith("collected packages"):
            rest = f"{rest.count(',') + 1} packages"
        self._text = f"{what.lower()} {rest}"
        self._draw()

    def end(self) -> None:
        self._over.set()
        if self._is_terminal:
            _write("\r\x1b[K")

    def _tick(self) -> None:
        while not self._over.wait(1):
            self._draw()

    def _draw(self) -> None:
        if self._is_terminal and not self._over.is_set():
            minutes, seconds = divmod(int(monotonic() - self._began), 60)
            row = f"  {minutes}:{seconds:02} · package {self._count} · {self._text}"
            _write(f"\r{row[:WIDEST]}\x1b[K")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

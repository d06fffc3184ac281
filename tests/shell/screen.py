"""A real terminal: a program in tmux; keys in, the contents of the screen out."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

import pytest

from tests import preloaded
from tests.patience import PATIENCE
from tests.program import ROOT

LOOKS = 0.05
"""Seconds between two reads of the screen."""

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


def preloaded_command() -> list[str]:
    """The real program on a screen, its engine forked from a process that has imported torch."""
    setting = preloaded.environment()
    search = os.pathsep.join(filter(None, (setting.get("PYTHONPATH"), str(ROOT))))
    words = [f"{name}={value}" for name, value in {**setting, "PYTHONPATH": search}.items()]
    return ["env", *words, sys.executable, "-m", "invoke"]


class Screen:
    """One program on its own screen."""

    def __init__(self, command: Sequence[str], folder: Path, *, columns: int = 100, rows: int = 30) -> None:
        self._socket = f"invoke-{uuid4().hex[:12]}"
        shown = f"{shlex.join(command)}; echo status $?; exec sleep 600"
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "EDITOR": "sed -i s/cat/dog/"}
        self._tmux(
            *("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(folder)),
            shown,
            environment=environment,
        )

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *error: object) -> None:
        self._tmux("kill-server")

    def type(self, text: str) -> None:
        """Type letters literally."""
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: `Enter`, `Tab`, `C-c`, `M-Enter`."""
        self._tmux("send-keys", *keys)

    def enter(self, line: str) -> None:
        self.type(line)
        self.press("Enter")

    def paste(self, text: str) -> None:
        self._tmux("set-buffer", "--", text)
        self._tmux("paste-buffer", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def text(self) -> str:
        """Everything on the screen since the start, with wrapped lines joined."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-").rstrip()

    def styled(self) -> str:
        """The screen as it is now, with its escape sequences."""
        return self._tmux("capture-pane", "-p", "-e")

    def underlined(self) -> list[str]:
        """The underlined text on the current screen."""
        return re.findall(r"\x1b\[(?:[\d;]*;)?4(?:;[\d;]*)?m(?:\x1b\[[\d;]*m)*([^\x1b]*)", self.styled())

    def wait_for_underlined(self, *words: str, seconds: float = PATIENCE) -> None:
        deadline = monotonic() + seconds
        while (found := self.underlined()) != list(words):
            assert monotonic() < deadline, f"{found} has a line under it, not {words}:\n{self.text()}"
            sleep(LOOKS)

    def last_line(self) -> str:
        """The last line of the prompt, above the toolbar; "" while there is none."""
        lines = [line for line in self.text().splitlines() if line.startswith("invoke>")]
        return lines[-1].rstrip() if lines else ""

    def wait_for(self, text: str, *, times: int = 1, seconds: float = PATIENCE) -> str:
        """The screen, once `text` is there `times` times."""
        deadline = monotonic() + seconds
        while (shown := self.text()).count(text) < times:
            assert monotonic() < deadline, f"{text!r} did not appear {times} times:\n{shown}"
            sleep(LOOKS)
        return shown

    def wait_for_no(self, text: str, *, seconds: float = PATIENCE) -> None:
        """Wait until `text` is gone from the screen."""
        deadline = monotonic() + seconds
        while text in self.text():
            assert monotonic() < deadline, f"{text!r} did not go away:\n{self.text()}"
            sleep(LOOKS)

    def wait_for_line(self, line: str, *, seconds: float = PATIENCE) -> None:
        """Wait until the prompt's last line is `line`."""
        deadline = monotonic() + seconds
        while self.last_line() != line:
            assert monotonic() < deadline, f"{line!r} does not stand on the prompt:\n{self.text()}"
            sleep(LOOKS)

    def _tmux(self, *words: str, environment: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-L", self._socket, *words],
            capture_output=True,
            env=environment,
            check=True,
            timeout=PATIENCE,
        )
        return done.stdout.decode()

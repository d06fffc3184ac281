"""Escape sequences for links, marks, title and progress, chosen by the environment only.

Terminals are never queried, because their answers would end up in the typed text.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from invoke.shell.progress_board import Status

PROMPT, INPUT, OUTPUT = "\x1b]133;A\x07", "\x1b]133;B\x07", "\x1b]133;C\x07"
"""OSC 133: marks the start of a prompt, of the input, and of the output."""
SAVE_TITLE, RESTORE_TITLE = "\x1b[22;2t", "\x1b[23;2t"
"""Push and pop the window title on the terminal's stack."""


@dataclass(frozen=True, slots=True)
class Features:
    """The sequences that this terminal supports."""

    links: bool = False
    marks: bool = False
    title: bool = False
    progress: bool = False


def is_tmux(environment: Mapping[str, str]) -> bool:
    """Whether the program runs in tmux, on this machine or, over ssh, on another."""
    return bool(environment.get("TMUX")) or environment.get("TERM", "").startswith("tmux")


def features(environment: Mapping[str, str]) -> Features:
    """The features that the terminal supports, according to the environment."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if term in ("", "dumb", "unknown", "linux"):
        return Features()
    if is_tmux(environment) or environment.get("STY") or term.startswith("screen"):
        return Features(title=True)
    kitty = "KITTY_WINDOW_ID" in environment or term == "xterm-kitty"
    vte = environment.get("VTE_VERSION", "").isdecimal() and int(environment["VTE_VERSION"]) >= 5000
    ghostty = program == "ghostty" or term == "xterm-ghostty"
    windows = "WT_SESSION" in environment
    modern = kitty or vte or ghostty or windows or program in ("iTerm.app", "WezTerm", "vscode") or "foot" in term
    progress = windows or ghostty or "ConEmuPID" in environment or program in ("iTerm.app", "WezTerm")
    return Features(links=modern, marks=modern, title=modern or term.startswith("xterm"), progress=progress)


def link(path: str, shown: str) -> str:
    """OSC 8: `shown` as a link that opens the file. The path is percent-encoded."""
    address = f"file://{quote(socket.gethostname())}{quote(os.path.abspath(path))}"  # noqa: PTH100
    return f"\x1b]8;;{address}\x1b\\{shown}\x1b]8;;\x1b\\"


def progress(share: float | None) -> str:
    """OSC 9;4: progress in the task bar, 0..1; None: none."""
    return "\x1b]9;4;0;0\x07" if share is None else f"\x1b]9;4;1;{round(100 * share)}\x07"


def title(text: str) -> str:
    """OSC 2: the window title; `text` must not contain control characters."""
    return f"\x1b]2;{text}\x07"


class Signs:
    """Title, progress and bell of the window: writes only changes."""

    def __init__(self, features: Features, status: Callable[[], Status | None]) -> None:
        self._features, self._status = features, status
        self._title, self._share = "", -1.0
        self._rings = False

    def ring(self) -> None:
        """Ring the bell with the next frame."""
        self._rings = True

    def frame(self) -> str:
        """The sequences for the next frame; "" without changes."""
        status = self._status()
        share = status.done / status.total if status is not None and status.total else None
        text = f"{round(100 * share)} % invoke" if share is not None else "invoke"
        return self._bell() + self._titled(text) + self._progressed(share)

    def close(self) -> str:
        """The sequences that restore the window."""
        before, self._title = self._title, ""
        return (self._progressed(None) if self._share >= 0 else "") + (RESTORE_TITLE if before else "")

    def _bell(self) -> str:
        rings, self._rings = self._rings, False
        return "\a" if rings else ""

    def _titled(self, text: str) -> str:
        if not self._features.title or text == self._title:
            return ""
        first, self._title = not self._title, text
        return (SAVE_TITLE if first else "") + title(text)

    def _progressed(self, share: float | None) -> str:
        value = -1.0 if share is None else round(share, 2)
        if not self._features.progress or value == self._share:
            return ""
        self._share = value
        return progress(share)

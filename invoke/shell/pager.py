"""Shows long output in the user's pager (`$PAGER`, or less)."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping

from invoke.text import cells

USUAL = "less"
"""The default."""
LESS = r"-FRXPsline %lt?L of %L.  -  space\: more  -  q\: back to the prompt$"
"""Default options of less: the text stays on the screen, and the last row says how to leave."""
ROOM = 3
"""Rows reserved for the command and the prompt."""


def pager(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The pager's command, as words; empty if there is none or it is not installed."""
    try:
        words = shlex.split(environment.get("PAGER", USUAL))
    except ValueError:
        return ()
    if not words or words[0] == "cat" or shutil.which(words[0]) is None:
        return ()
    return tuple(words)


def is_long(text: str, size: os.terminal_size) -> bool:
    """Whether `text` does not fit into a window of this size."""
    return sum(max(1, -(-cells(row) // size.columns)) for row in text.split("\n")) > size.lines - ROOM


def show(command: tuple[str, ...], text: str) -> bool:
    """Show `text`, already cleaned, until the user leaves the pager; returns False on failure."""
    environment = {"LESS": LESS, "LESSCHARSET": "utf-8", **os.environ}
    try:
        done = subprocess.run(command, input=f"{text}\n".encode(), env=environment, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0

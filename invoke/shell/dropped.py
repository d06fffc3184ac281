r"""A file that was dropped on the terminal, or whose name was pasted, as it stands in a line.

Terminals write a dropped file as `'/my pics/x.png'`, `/my\ pics/x.png` or `file:///my%20pics/x.png`.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from invoke.command.commands import by_command
from invoke.command.cursor import kind_of, part_start, split, waiting
from invoke.command.render import value_word
from invoke.command.sources import PICTURES, UNTYPABLE
from invoke.command.tokens import BLANKS, quote, read_word
from invoke.errors import CommandError
from invoke.switch_types import ModelName, Path

LONGEST = 4096


def inserted(before: str, pasted: str) -> str:
    """What is put behind `before` when `pasted` is: `-I "…"` for a picture, the path alone where one is waited for.

    All that names no file stays as it is.
    """
    path = _file(pasted)
    if path is None:
        return pasted
    typed = before[split(before, part_start(before))[1].start :]
    if _is_open(typed):
        return quote(path)[1:] if typed == '"' and _expects_path(before[:-1]) else pasted
    if typed.startswith("--") and typed.endswith("="):
        return value_word(path)
    gap = " " if typed else ""
    if _expects_path(before + gap):
        return gap + value_word(path)
    return f"{gap}-I {value_word(path)} " if _is_picture(path) else pasted


def as_init_picture(line: str) -> str | None:
    """`-I "…"` for a line that is nothing but the name of a picture; one in double quotes is a prompt."""
    path = None if line.lstrip(BLANKS).startswith('"') else _file(line)
    return f"-I {value_word(path)} " if path is not None and _is_picture(path) else None


def _is_open(typed: str) -> bool:
    """Whether `typed` is the beginning of something in quotes."""
    try:
        read_word(typed, 0)
    except CommandError:
        return True
    return False


def _expects_path(before: str) -> bool:
    """Whether a switch or a command waits for a file at the end of `before`, behind a blank."""
    words, _ = split(before, part_start(before))
    expecting = waiting(before, words)
    if expecting is not None and len(expecting[1]) < expecting[0].type.needs:
        return isinstance(kind_of(*expecting), Path | ModelName)
    row = by_command().get(words[0].text[1:]) if len(words) == 1 and words[0].text.startswith("!") else None
    return row is not None and row.argument in {"picture", "text file", "folder", "model", "pickle"}


def _file(text: str) -> str | None:
    """The file or folder that a terminal means by `text`."""
    if len(text) > LONGEST:
        return None
    found = (path for path in _readings(text.strip(BLANKS)) if not UNTYPABLE.search(path))
    return next((path for path in found if os.path.exists(os.path.expanduser(path))), None)  # noqa: PTH110, PTH111


def _readings(text: str) -> Iterator[str]:
    yield text
    with suppress(ValueError):
        if text.startswith("file://"):
            yield unquote(urlsplit(text).path)
        words = shlex.split(text)
        if len(words) == 1:
            yield words[0]


def _is_picture(path: str) -> bool:
    return path.lower().endswith(PICTURES) and os.path.isfile(os.path.expanduser(path))  # noqa: PTH111, PTH113

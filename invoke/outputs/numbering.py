"""Numbers for lines: never given twice, even if several shells share the folder.

The next free number is the name of the only file in `.invoke-numbers/`. A process claims it by renaming that file to
the number after it: exactly one process succeeds; the others find the name gone and retry. There is no lock that a
killed process could leave behind: after `kill -9` a number is either claimed or not. The folder itself is created by
one rename, which fails if it already exists.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from invoke import files

FOLDER = ".invoke-numbers"
_NUMBERED = re.compile(r"(\d{6,9})\.")
_NEXT = re.compile(r"next-(\d{6,10})")


class Numbers:
    """The numbers of one folder, which must exist when a number is claimed."""

    def __init__(self, folder: Path, *, tries: int = 10_000) -> None:
        self._folder = folder
        self._tries = tries
        self._counter = folder / FOLDER
        self._least = 1

    def scan(self) -> None:
        """Continue after the highest number in the folder, and remove temporary files of dead processes.

        It reads every name (0.1 s for 100 000 pictures), so it is called once per session.
        """
        names = os.listdir(self._folder)  # noqa: PTH208 - names are all that is needed
        self._least = max(self._least, highest(names) + 1)
        files.remove_stale(self._folder, names)

    def claim(self, count: int = 1) -> int:
        """Claim `count` numbers; returns the first. Raises OSError."""
        for _ in range(self._tries):
            free = self._next()
            if free is None:
                self._begin()
                continue
            number = max(free, self._least)
            try:
                (self._counter / _name(free)).rename(self._counter / _name(number + count))
            except FileNotFoundError:
                if not self._folder.is_dir():
                    raise
                continue  # another process was faster
            self._least = number + count
            return number
        raise OSError(errno.EAGAIN, "numbers cannot be assigned here", str(self._counter))

    def _next(self) -> int | None:
        try:
            if self._counter.is_symlink():
                raise OSError(errno.ELOOP, "it is a link; links are not followed", str(self._counter))
            names = os.listdir(self._counter)  # noqa: PTH208
        except FileNotFoundError:
            return None
        return max(following(names), default=None)

    def _begin(self) -> None:
        self.scan()
        temporary = self._folder / files.temporary_name(FOLDER)
        temporary.mkdir()
        try:
            (temporary / _name(self._least)).touch()
            temporary.rename(self._counter)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise


def following(names: Iterable[str]) -> list[int]:
    """The next free numbers that the names in `.invoke-numbers/` stand for: one, if nobody has meddled with them."""
    return [int(match[1]) for name in names if (match := _NEXT.fullmatch(name))]


def highest(names: Iterable[str]) -> int:
    """The highest number at the beginning of a file name; 0 if there is none."""
    return max((int(match[1]) for name in names if (match := _NUMBERED.match(name))), default=0)


def _name(number: int) -> str:
    return f"next-{number:06}"

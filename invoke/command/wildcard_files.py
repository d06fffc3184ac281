"""Wildcard files: `animals.txt` in a folder of wildcards is `__animals__` in a prompt, one text a line."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from invoke.errors import RequestError
from invoke.wording import did_you_mean

ENDING = ".txt"
LARGEST_FILE = 2_000_000
"""Bytes."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class WildcardFiles:
    """What lies in some folders, of which the first wins; they are looked through once, when a name is asked for."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders

    def find(self, name: str, column: int | None = None) -> Path:
        """The file called exactly `name`. Raises RequestError with the nearest name."""
        if name in self.known:
            return self.known[name]
        meant = did_you_mean(name, self.known, "__{}__")
        raise RequestError(
            f"there is no wildcard file {name}{ENDING}{meant}",
            code="no_such_wildcard",
            column=column,
            hint=f"they are looked for in {' and '.join(map(str, self.folders)) or 'no folder'}; one text a line",
        )

    @cached_property
    def known(self) -> Mapping[str, Path]:
        """Name → file, for all in the folders and the folders in them; a link that leads out is none."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            root = folder.resolve()
            for path in folder.rglob(f"*{ENDING}"):
                if path.is_file() and path.resolve().is_relative_to(root):
                    found[path.relative_to(folder).as_posix().removesuffix(ENDING)] = path
        return found


def read_file(path: Path) -> tuple[str, ...]:
    """The texts in the file, without empty lines and those that begin with `#`. Raises RequestError."""
    try:
        found = path.stat()
        if found.st_size > LARGEST_FILE:
            raise RequestError(f"{path}: larger than 2 MB, this is no list of texts", code="bad_wildcard")
        texts = _read(path, found.st_mtime_ns, found.st_size)
    except (OSError, UnicodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeError) else error.strerror or error
        raise RequestError(f"{path}: this wildcard file cannot be read: {why}", code="bad_wildcard") from None
    if not texts:
        raise RequestError(f"{path}: there is no text in this wildcard file", code="bad_wildcard")
    return texts


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, size: int) -> tuple[str, ...]:
    lines = (_CONTROLS.sub("", " ".join(line.split())) for line in path.read_text(encoding="utf-8-sig").split("\n"))
    return tuple(line for line in lines if line and not line.startswith("#"))

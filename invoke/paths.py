"""Paths as typed; the folders of configuration and state; history and log files, private to their owner."""

import errno
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TextIO
from unicodedata import normalize

from invoke.files import open_file

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Error numbers of paths that do not exist."""


def expanded(typed: str | Path) -> Path:
    """`typed` with `~` as the home folder; an unknown `~user` is a plain name (Path.expanduser raises RuntimeError).

    A name with accents can be encoded in two ways that look the same (NFC and NFD); the existing one is used.
    """
    path = Path(os.path.expanduser(typed))  # noqa: PTH111
    return path if str(path).isascii() or is_there(path) else _in_form_of_disk(path)


def _in_form_of_disk(path: Path) -> Path:
    """`path`, with each component in the normal form that exists; unchanged if there is none."""
    found = Path(path.anchor)
    for name in path.relative_to(path.anchor).parts:
        forms = (name, normalize("NFC", name), normalize("NFD", name))
        there = (form for form in forms if is_there(found / form))
        found /= next(there, None) or next(_same(name, found), name)
    return found


def _same(name: str, folder: Path) -> Iterator[str]:
    """The names in `folder` that look like `name`, which may mix both forms."""
    if not name.isascii():
        wanted = normalize("NFC", name)
        yield from (found for found in _names(folder) if normalize("NFC", found) == wanted)


def matching(pattern: str | Path) -> list[str]:
    """The paths that match a pattern with `*`, `?` and `[…]`, in either normal form; sorted.

    An accented letter is one letter in both. Hidden files match only if the pattern has the dot.
    """
    path = Path(os.path.expanduser(pattern))  # noqa: PTH111
    found = [Path(path.anchor)]
    for part in path.relative_to(path.anchor).parts:
        if _WILD.search(part):
            found = [place / name for place in found for name in _names(place) if _matches(name, part)]
        else:
            found = [there for place in found if is_there(there := expanded(place / part))]
    return sorted(map(str, found))


_WILD = re.compile(r"[*?[]")


def _matches(name: str, pattern: str) -> bool:
    is_hidden = name.startswith(".") and not pattern.startswith(".")
    return not is_hidden and fnmatchcase(normalize("NFC", name), normalize("NFC", pattern))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except (OSError, ValueError):
        return []


def is_there(path: Path) -> bool:
    """Whether the file or folder exists, as far as the system tells; False for an impossible name."""
    with suppress(OSError, ValueError):
        return exists(path)
    return False


def exists(path: Path, *, follow_symlinks: bool = True) -> bool:
    """Whether `path` exists. Raises OSError if the system does not tell, where `is_there` says no."""
    try:
        os.stat(path, follow_symlinks=follow_symlinks)  # noqa: PTH116
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        return False
    return True


def config_folder() -> Path:
    """The user's configuration folder by the platform's convention."""
    from platformdirs import user_config_path

    return user_config_path("invoke-shell", appauthor=False)


def config_file() -> Path:
    return config_folder() / "config.yaml"


def wildcard_folders() -> tuple[Path, ...]:
    """The folders in which `--wild` looks for files: in the working folder, then in the configuration folder."""
    return Path("wildcards"), config_folder() / "wildcards"


def cache_folder() -> Path:
    """The user's cache folder by the platform's convention: `~/.cache/invoke-shell` on Linux."""
    from platformdirs import user_cache_path

    return user_cache_path("invoke-shell", appauthor=False)


LOG = "errors.log"
OPENVINO = "openvino"
"""The cache folder of compiled networks."""
HISTORY = "history"
LARGEST_LOG = 1_000_000


def state_folder() -> Path:
    """The state folder by the platform's convention: `~/.local/state/invoke-shell` on Linux."""
    from platformdirs import user_state_path

    return user_state_path("invoke-shell", appauthor=False)


def open_private(path: Path, flags: int) -> int:
    """Open the regular file `path`, created with mode 0600 if missing. Links are not followed.

    Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = open_file(path, flags | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class LogFile(logging.StreamHandler[TextIO]):
    """Closes its file with itself."""

    def close(self) -> None:
        super().close()
        self.stream.close()


def keep_log() -> str:
    """Send warnings and tracebacks to a file instead of the terminal; return its name, or "" if impossible."""
    path = state_folder() / LOG
    log = logging.getLogger("invoke")
    log.propagate = False
    for handler in list(log.handlers):
        log.removeHandler(handler)
        if isinstance(handler, LogFile):
            handler.close()
    try:
        stream = os.fdopen(open_private(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8", errors="replace")
    except OSError:
        log.addHandler(logging.NullHandler())
        return ""
    if stream.tell() > LARGEST_LOG:
        stream.truncate(0)
    file = LogFile(stream)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log.addHandler(file)
    return str(path)

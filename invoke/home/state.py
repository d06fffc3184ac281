"""What outlives a sitting: the history and the log of errors, readable by the user alone."""

import errno
import logging
import os
import stat
from pathlib import Path
from typing import TextIO

LOG = "errors.log"
HISTORY = "history"
LARGEST_LOG = 1_000_000


def state_folder() -> Path:
    """By the platform's custom: `~/.local/state/invoke-shell` on Linux."""
    from platformdirs import user_state_path

    return user_state_path("invoke-shell", appauthor=False)


def open_private(path: Path, flags: int) -> int:
    """A descriptor of the regular file `path`, mode 0600, made where it is missing. Links are not followed.

    Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # without waiting: a FIFO of this name would block for ever
    flags |= os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, and links are not followed") from None
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    if hasattr(os, "fchmod") and found.st_mode & 0o077:
        os.fchmod(descriptor, 0o600)
    return descriptor


class LogFile(logging.StreamHandler[TextIO]):
    """Closes its file with itself."""

    def close(self) -> None:
        super().close()
        self.stream.close()


def keep_log() -> str:
    """Have warnings and tracebacks go to a file instead of the terminal; its name, or "" where none can be."""
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

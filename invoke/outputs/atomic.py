"""A file appears whole or not at all, and never in place of another.

The bytes are written aside, flushed, and then linked to their name: `link` fails when the name is taken, so
there is no moment in which a reader finds half a file or a writer overwrites one. Once the link stands the
file is saved; what fails after that is logged, since reporting it would have the picture made twice.
"""

import errno
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from zlib import crc32

log = logging.getLogger(__name__)

_ASIDE = re.compile(r"\..*\.(?P<pid>\d+)\.(?P<host>[0-9a-f]{8})[0-9a-f]{8}\.tmp", re.DOTALL)
_FORGOTTEN = 3600.0
"""Seconds after which a file written aside belongs to nobody, whatever its process number says."""
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def write(paths: Iterable[Path], data: bytes, *, durable: bool = True) -> Path:
    """Make a file with `data` under the first of `paths`, all in one folder, that is free; which that was.

    `durable` files survive a power cut; others only the end of the process. Raises FileExistsError when
    every name is taken, by whatever, and any other OSError with nothing left behind.

    A file system without hard links reserves the name with an empty file first. A crash within that moment
    leaves the empty file.
    """
    remaining = iter(paths)
    path = next(remaining)
    aside = path.with_name(aside_name(path.name))
    try:
        _fill(aside, data, durable)
        while not _publish(aside, path):
            taken = path
            path = next(remaining, taken)
            if path == taken:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    finally:
        _tidy(aside)
    if durable:
        _flush_folder(path.parent)
    return path


def aside_name(name: str) -> str:
    """A name of our own beside `name`: `.NAME.PID.HOST+RANDOM.tmp`, swept when its process is gone."""
    return f".{name[:32]}.{os.getpid()}.{_host()}{secrets.token_hex(4)}.tmp"


def remove_stale(folder: Path, names: Iterable[str]) -> None:
    """Remove what processes that are gone have left aside among `names` in `folder`."""
    for name in names:
        found = _ASIDE.fullmatch(name)
        if not found:
            continue
        path = folder / name
        with suppress(OSError):
            gone = found["host"] == _host() and not _alive(int(found["pid"]))
            if gone or time.time() - path.lstat().st_mtime > _FORGOTTEN:
                _remove(path)


def _fill(aside: Path, data: bytes, durable: bool) -> None:
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(aside: Path, path: Path) -> bool:
    """Give the finished file its name; False when that is taken."""
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _replace_reserved(aside, path)
    return True


def _replace_reserved(aside: Path, path: Path) -> bool:
    try:
        reserved = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    try:
        os.close(reserved)
        os.replace(aside, path)  # noqa: PTH105 - beside os.link, so that tests can fail each call
    except BaseException:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        raise
    return True


def _tidy(aside: Path) -> None:
    try:
        os.unlink(aside)  # noqa: PTH108
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s is left behind: %s", aside, error)


def _flush_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        log.warning("%s could not be flushed: %s", folder, error)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _host() -> str:
    return f"{crc32(os.uname().nodename.encode()):08x}"

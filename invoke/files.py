"""Writing files: complete or not at all, never through a link, only regular files.

Every file that this program writes is opened here. A new file (`write_new`) is written aside, flushed, and then
linked to its name: `link` fails when the name is taken, so there is no moment in which a reader finds half a file or a
writer overwrites one. Once the link stands the file is saved; a later failure is logged, since reporting it would
have the picture made twice. A file that changes (`replace`) is renamed into place, one that grows (`append`) gets
each row in one write, and a row that does not fit on the disk is taken back.
"""

import errno
import logging
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

log = logging.getLogger(__name__)

_TEMPORARY = re.compile(r"\..*\.(?P<pid>\d+)\.(?P<host>[0-9a-f]{8})[0-9a-f]{8}\.tmp", re.DOTALL)
_ABANDONED = 3600.0
"""Seconds after which a temporary file counts as abandoned, whatever its process number."""
_MOMENT = 0.002
LONGEST_ROW = 2**20
"""Number of bytes searched for the beginning of a torn row."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EROFS}


def open_file(path: str | Path, flags: int, mode: int = 0o666, *, follow: bool = False) -> int:
    """Open the regular file `path`; anything else (FIFO, device, folder) is refused without waiting.

    A link at the end of `path` is refused as well, unless `follow`: lists that their owner keeps elsewhere are read
    through one. Raises OSError.
    """
    careful = os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags | careful, mode)
    except OSError as error:
        raise _refusal(error, path) from None
    try:
        found = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(found):
            raise _not_a_file(path, is_folder=stat.S_ISDIR(found))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: str | Path, limit: int, *, follow: bool = True) -> bytes:
    """Read the regular file `path`. Raises OSError, with EFBIG if it has more than `limit` bytes."""
    descriptor = open_file(path, os.O_RDONLY, follow=follow)
    try:
        data = bytearray()
        while chunk := os.read(descriptor, min(2**20, limit + 1 - len(data))):
            data += chunk
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit:,} bytes", str(path))
    return bytes(data)


def open_to_read(path: str | Path) -> BinaryIO:
    """The regular file `path`, which may be untrusted, as a stream. Raises OSError."""
    return os.fdopen(open_file(path, os.O_RDONLY, follow=True), "rb")


def read_text(path: str | Path, limit: int) -> str:
    """The UTF-8 text of the regular file `path`, which may be untrusted. Raises OSError or UnicodeError."""
    return read_file(path, limit).decode("utf-8")


def write_new(paths: Iterable[Path], data: bytes, *, durable: bool = True) -> Path:
    """Make a file with `data` under the first of `paths`, all in one folder, that is free; return which one.

    `durable` files survive a power cut; others only the end of the process. Raises FileExistsError when every name is
    taken, by whatever, and any other OSError with nothing left behind.

    A file system without hard links reserves the name with an empty file first. A crash within that moment leaves
    the empty file.
    """
    remaining = iter(paths)
    path = next(remaining)
    temporary = path.with_name(temporary_name(path.name))
    try:
        _fill(temporary, data, durable)
        while not _publish(temporary, path):
            taken = path
            path = next(remaining, taken)
            if path == taken:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    finally:
        _tidy(temporary)
    if durable:
        flush_folder(path.parent)
    return path


@contextmanager
def making(path: Path) -> Iterator[Path]:
    """A name to write a large file to, which becomes the new file `path` at the end of the block unless that raises.

    Raises FileExistsError if `path` is taken, and any other OSError with nothing left behind.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        yield temporary
        descriptor = open_file(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not _publish(temporary, path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    finally:
        _tidy(temporary)
    flush_folder(path.parent)


def replace(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write `data` to the file `path`, or leave it unchanged on failure; see `replacing`. Raises OSError."""
    with replacing(path, mode) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file to write to, which takes the name `path` at the end of the block unless that raises.

    A file of this name keeps its permissions unless `mode` gives others. Raises OSError: a link, folder, FIFO or
    device is never replaced.
    """
    present = _mode_of(path)
    mode = present if mode is None else mode
    temporary = path.with_name(temporary_name(path.name))
    try:
        descriptor = os.open(temporary, _NEW, 0o666 if mode is None else mode)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - beside os.link, so that tests can fail each call
    finally:
        _tidy(temporary)
    flush_folder(path.parent)


def append(path: Path, row: bytes, *, durable: bool = False, mode: int = 0o666) -> None:
    """Append `row`, which ends with a newline, to the file `path`, which is created if missing. Raises OSError.

    One write, so that rows of several processes stay whole. A torn row before it ends there; a row for which the
    disk has no room is taken back.
    """
    descriptor = open_file(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        size = os.fstat(descriptor).st_size
        if _is_torn(descriptor, size):
            time.sleep(_MOMENT)  # unless another process is currently writing it
            size = os.fstat(descriptor).st_size
            if _is_torn(descriptor, size):
                row = b"\n" + row
        written = os.write(descriptor, row)
        if written < len(row):
            if os.fstat(descriptor).st_size == size + written:  # no other process has written in the meantime
                os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if durable:
            os.fsync(descriptor)
            if not size:
                flush_folder(path.parent)  # the file is new
    finally:
        _close(descriptor, path)


def drop_torn_row(path: Path) -> None:
    """Remove anything after the last newline of the file `path`; errors are left to its readers."""
    with suppress(OSError):
        descriptor = open_file(path, os.O_RDWR)
        try:
            size = os.fstat(descriptor).st_size
            if _is_torn(descriptor, size):
                start = max(0, size - LONGEST_ROW)
                kept = start + os.pread(descriptor, size - start, start).rfind(b"\n") + 1
                if kept > start or start == 0:
                    os.ftruncate(descriptor, kept)
        finally:
            os.close(descriptor)


def flush(paths: Iterable[Path]) -> None:
    """Flush `paths`, files of one folder, so that they survive a power cut; missing ones are skipped."""
    folder = None
    for path in paths:
        try:
            descriptor = open_file(path, os.O_RDONLY)
            try:
                _sync(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%s could not be flushed: %s", path, error)
        folder = path.parent
    if folder is not None:
        flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Flush the names in `folder`, so that they survive a power cut."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        log.warning("%s could not be flushed: %s", folder, error)


def make_folder(path: Path) -> None:
    """Create our own folder `path` if it is missing. Raises OSError, also if it is a link."""
    path.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(os.lstat(path).st_mode):
        raise _is_link(path)


def temporary_name(name: str) -> str:
    """A temporary name beside `name`: `.NAME.PID.HOST+RANDOM.tmp`, removed when its process has ended."""
    return f".{name[:32]}.{os.getpid()}.{_host()}{secrets.token_hex(4)}.tmp"


def is_temporary(name: str) -> bool:
    """Whether `name` was made by `temporary_name`."""
    return _TEMPORARY.fullmatch(name) is not None


def is_abandoned(path: Path) -> bool:
    """Whether `path` is a temporary file of a process that has ended."""
    found = _TEMPORARY.fullmatch(path.name)
    if found is None:
        return False
    gone = found["host"] == _host() and not _alive(int(found["pid"]))
    with suppress(OSError):
        return gone or time.time() - path.lstat().st_mtime > _ABANDONED
    return False


def remove_stale(folder: Path, names: Iterable[str]) -> None:
    """Remove temporary files of ended processes among `names` in `folder`."""
    for name in names:
        path = folder / name
        if is_abandoned(path):
            with suppress(OSError):
                _remove(path)


def _close(descriptor: int, path: Path) -> None:
    """Close; a failure is only logged, since the data is written."""
    try:
        os.close(descriptor)
    except OSError as error:
        log.warning("%s could not be closed: %s", path, error)


def _is_torn(descriptor: int, size: int) -> bool:
    """Whether the last row of a file has no newline."""
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def _fill(temporary: Path, data: bytes, durable: bool) -> None:
    descriptor = os.open(temporary, _NEW, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(temporary: Path, path: Path) -> bool:
    """Give the finished file its name; False if that is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _replace_reserved(temporary, path)
    return True


def _replace_reserved(temporary: Path, path: Path) -> bool:
    try:
        reserved = os.open(path, _NEW, 0o666)
    except FileExistsError:
        return False
    try:
        os.close(reserved)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        raise
    return True


def _tidy(temporary: Path) -> None:
    try:
        os.unlink(temporary)  # noqa: PTH108
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s could not be removed: %s", temporary, error)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _mode_of(path: Path) -> int | None:
    """The permissions of the regular file `path`; None if there is none."""
    try:
        found = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found):
        raise _is_link(path)
    if not stat.S_ISREG(found):
        raise _not_a_file(path, is_folder=stat.S_ISDIR(found))
    return stat.S_IMODE(found)


def _refusal(error: OSError, path: str | Path) -> OSError:
    if error.errno == errno.ELOOP:
        return _is_link(path)
    if error.errno == errno.ENXIO:  # a FIFO without a reader
        return _not_a_file(path)
    return error


def _is_link(path: str | Path) -> OSError:
    return OSError(errno.ELOOP, "it is a link; links are not followed", str(path))


def _not_a_file(path: str | Path, *, is_folder: bool = False) -> OSError:
    if is_folder:
        return IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    return OSError(errno.EINVAL, "it is not a regular file", str(path))


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

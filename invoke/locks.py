"""File locks between processes, released when the holder ends, even by a crash.

`flock` on the file itself. The filelock package has no shared locks, and keeps a second file beside each. A file
system without locks (some network mounts) grants every one.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed, or change its lock; False where another program holds a lock against it."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Hold an exclusive lock on an open file within the block, then close it."""
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

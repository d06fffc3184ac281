"""The files that a request reads, sent as bytes to workers that cannot see this machine's disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from invoke.errors import PictureError
from invoke.images import read_bytes
from invoke.request import Request

PREFIX = "invoke-files-"


def paths_of(request: Request) -> Iterator[str]:
    """Every file that `request` reads, through its chain."""
    yield from request.pictures
    if request.before is not None:
        yield from paths_of(request.before)


def with_paths(request: Request, paths: Mapping[str, str]) -> Request:
    """`request` with its paths replaced by `paths`; others stay."""
    if not paths:
        return request
    changed = request.with_paths(lambda path: paths.get(path, path))
    return replace(changed, init_image=with_paths(request.before, paths)) if request.before else changed


class FileFolder:
    """A worker's folder of received files, each content once.

    Below `root`, or below the system's folder for temporary files; there it is named after its process, so that
    those of workers that were killed are swept when the next one starts.
    """

    def __init__(self, root: str | None = None) -> None:
        parent = Path(root or tempfile.gettempdir())
        for old in parent.glob(f"{PREFIX}*"):
            _sweep(old)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))

    def put(self, name: str, data: bytes) -> str:
        """The path of a file with `data`, with the ending of `name`."""
        path = self._folder / f"{sha256(data).hexdigest()[:32]}{Path(name).suffix[:16]}"
        if not path.exists():
            path.write_bytes(data)
        return str(path)


def read_files(request: Request) -> dict[str, bytes]:
    """Path → contents of the files that `request` reads. Unreadable ones are omitted: the engine reports why."""
    found = {}
    for path in paths_of(request):
        with suppress(PictureError):
            found[path] = read_bytes(path)
    return found


def _sweep(folder: Path) -> None:
    """Remove the folder of a worker that was killed."""
    pid = folder.name.removeprefix(PREFIX).partition("-")[0]
    if pid.isdecimal() and not Path(f"/proc/{pid}").exists() and folder.stat().st_uid == os.getuid():
        shutil.rmtree(folder, ignore_errors=True)

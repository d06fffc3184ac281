"""SHA-256 of weight files, and a check that they are complete (`read_header`). Loads no weights."""

import threading
from collections.abc import Sequence
from hashlib import file_digest, sha256
from pathlib import Path

from invoke.models.safetensors_header import Header, read_header

__all__ = ["BackgroundHash", "Header", "hash_files", "read_header"]


class BackgroundHash:
    """The SHA-256 of weight files, computed in a background thread (1.7 GB take over a second)."""

    def __init__(self, folder: Path, files: Sequence[Path], also: "BackgroundHash | None" = None) -> None:
        """`also`: the hash of further files that belong to these but lie elsewhere; it is combined with theirs."""
        self._digest, self._also = "", also
        # the working folder may change before they are opened
        absolute = folder.absolute(), tuple(file.absolute() for file in files)
        self._thread = threading.Thread(target=self._run, args=absolute, daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Wait for the digest; "" if a file has disappeared."""
        self._thread.join()
        if self._also is None:
            return self._digest
        return sha256(f"{self._digest}\n{self._also.result()}\n".encode()).hexdigest()

    def _run(self, folder: Path, files: Sequence[Path]) -> None:
        try:
            self._digest = hash_files(folder, files)
        except OSError:
            self._digest = ""


def hash_files(folder: Path, files: Sequence[Path]) -> str:
    """The SHA-256 of one file; for several, the SHA-256 of the lines `SHA-256  name`, sorted by name."""
    if len(files) == 1:
        return _hash(files[0])
    lines = (f"{_hash(file)}  {file.relative_to(folder).as_posix()}\n" for file in sorted(files))
    return sha256("".join(lines).encode()).hexdigest()


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()

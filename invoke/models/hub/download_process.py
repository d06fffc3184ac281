"""The process that downloads models.

huggingface_hub (since 2.0) gives every partial file a new name and so cannot resume interrupted downloads. Large files
are therefore downloaded here, under a fixed name, to the place where huggingface_hub looks for them.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import IO, Any

from invoke.errors import ModelError
from invoke.events import Downloading, DownloadRequired
from invoke.models import ModelSpec
from invoke.models.hub.cache import Address, hub_cache, kept_folder
from invoke.models.hub.locate import explained
from invoke.models.hub.repository import Listing, ask, download
from invoke.processes import ENVIRONMENT, own_streams, receive, send

BEAT = 0.5
"""Seconds between two progress reports."""


@dataclass(frozen=True, slots=True)
class Need:
    """One model or file to download."""

    address: Address
    configs_only: bool = False
    """Download everything but the weights."""
    without: str = ""
    """The part whose weights are not needed."""


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """The first message. Answers: `DownloadRequired`, then `Downloading` until the end, then None; or a ModelError."""

    spec: ModelSpec
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Go:
    """The second message: the user agrees to the download."""


class Fetcher:
    """Handles one download request."""

    def __init__(self, request: DownloadRequest, questions: IO[bytes], answers: IO[bytes]) -> None:
        self._name, self._spec, self._needs = request.spec.name, request.spec, request.needs
        self._questions, self._answers = questions, answers
        self._answering = threading.Lock()
        self._total = 0
        self._arrived: dict[str, int] = {}
        """Large file → bytes received."""

    def run(self) -> None:
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            chosen = list(self._chosen())
            self._total = sum(listing.sizes[file] for listing, files in chosen for file in files)
            self._check_space()
            self._answer(DownloadRequired(self._name, round(self._total / 1e6), self._spec.licence))
            receive(self._questions)  # waits for Go; if the parent ends, so does this process
            threading.Thread(target=self._listen, daemon=True).start()
            self._say_how_far()
            for listing, files in chosen:
                self._download(listing, files)
        except ModelError as error:
            self._answer(error)
        else:
            self._answer(None)

    def _chosen(self) -> Iterator[tuple[Listing, list[str]]]:
        for need in self._needs:
            listing = ask(f"{self._name} (configs)" if need.configs_only else self._name, need.address)
            half = self._spec.kind == "model"
            files = listing.configs() if need.configs_only else listing.files(half=half, without=need.without)
            yield listing, listing.missing(files)

    def _check_space(self) -> None:
        place = hub_cache()
        place.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free
        if free < self._total:
            raise ModelError(
                f"{self._name}: {self._total / 1e9:.1f} GB are needed, but {place} has only {free / 1e9:.1f} GB free",
                code="no_space",
                hint="free some space, or set HF_HOME to a folder on another disk",
            )

    def _download(self, listing: Listing, files: list[str]) -> None:
        def count(file: str, arrived: int) -> None:
            self._arrived[f"{listing.address}/{file}"] = arrived

        # configs first: a model counts as complete once its weights exist
        download(listing, [file for file in files if not file.endswith((".safetensors", ".gguf"))])
        try:
            fetch_large(listing, files, count)
        except Exception as error:
            raise explained(listing.name, listing.address, error) from error
        download(listing, files)

    def _beat(self) -> None:
        wait = threading.Event()
        while not wait.wait(BEAT):
            self._say_how_far()

    def _say_how_far(self) -> None:
        self._answer(Downloading(self._name, sum(list(self._arrived.values())) / 1e6, self._total / 1e6))

    def _listen(self) -> None:
        """End this process when the parent closes its end."""
        self._questions.read()
        os._exit(0)

    def _answer(self, answer: object) -> None:
        with self._answering:
            send(self._answers, answer)


def main() -> None:
    """Handle the request on standard input. Called in a fresh process."""
    questions, answers = own_streams()
    os.environ.update(ENVIRONMENT)
    try:
        request = receive(questions)
        assert isinstance(request, DownloadRequest)
        Fetcher(request, questions, answers).run()
    except (EOFError, OSError):
        pass  # the parent has ended
    os._exit(0)  # threads waiting for the network would keep the process alive


LARGE = 10_000_000
"""Size in bytes from which a download is resumable."""
AT_ONCE = 4
_SHA256 = 64
"""Length of the name that the cache gives to a large file (its SHA-256)."""


def fetch_large(listing: Listing, files: list[str], count: Callable[[str, int], None]) -> None:
    """Download the large ones among `files`; `count` receives each file's number of bytes so far.

    Raises OSError, and whatever huggingface_hub raises.
    """
    large = [file for file in files if listing.sizes[file] >= LARGE]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda file: _fetch(listing, file, lambda bytes_: count(file, bytes_)), large))


def _fetch(listing: Listing, file: str, count: Callable[[int], None]) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

    repository = listing.address.repository
    url = hf_hub_url(repository, file, revision=listing.address.revision or None)
    metadata = get_hf_file_metadata(url)
    if metadata.etag is None or metadata.size is None:
        return  # download it like the small ones
    kept = kept_folder(repository)
    blob = kept / "blobs" / metadata.etag
    lock = hub_cache() / ".locks" / kept.name / f"{metadata.etag}.lock"
    for folder in (blob.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.exists():
            return
        part = blob.with_name(f"{metadata.etag}.incomplete")
        resumed_from = part.stat().st_size if part.exists() else 0
        with part.open("ab") as stream:
            http_get(
                url,
                stream,
                resume_size=resumed_from,
                headers=build_hf_headers(),
                expected_size=metadata.size,
                tqdm_class=_bar(count),
            )
        if resumed_from and len(metadata.etag) == _SHA256 and _digest(part) != metadata.etag:
            part.unlink()
            raise OSError(f"{file} was damaged in transit and has been deleted: try again")
        part.replace(blob)


def _bar(count: Callable[[int], None]) -> type[Any]:
    """A progress bar class for the library that displays nothing and reports to `count`."""
    from tqdm.std import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *words: Any, initial: int = 0, **options: Any) -> None:
            super().__init__(*words, **(options | {"disable": True}))
            self._arrived = initial
            count(initial)

        def update(self, n: float | None = 1) -> None:
            self._arrived += int(n or 0)
            count(self._arrived)

    return Bar


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()

"""Large files of the hub, put into its cache so that a download which broke off goes on where it was.

huggingface_hub fetches every file under a name of its own (since 2.0), and begins again after a break. So the large
ones are fetched here, under one name, into the place where it looks for them.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import file_digest
from pathlib import Path
from typing import Any

from invoke.engine.listing import Listing
from invoke.models.cache import hub_cache, kept_folder

LARGE = 10_000_000
"""Bytes from which on a file is worth going on with."""
AT_ONCE = 4
_SHA256 = 64
"""Letters of the name that the cache gives to a large file."""


def fetch_large(listing: Listing, files: list[str], count: Callable[[str, int], None]) -> None:
    """Fetch those of `files` that are large; `count` is told how many bytes of each are there.

    Raises what huggingface_hub raises, and OSError.
    """
    large = [file for file in files if listing.sizes[file] >= LARGE]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda file: _fetch(listing, file, lambda bytes_: count(file, bytes_)), large))


def _fetch(listing: Listing, file: str, count: Callable[[int], None]) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

    repository = listing.address.repository
    url = hf_hub_url(repository, file)
    told = get_hf_file_metadata(url)
    if told.etag is None or told.size is None:
        return  # then it comes as the small ones do
    kept = kept_folder(repository)
    blob = kept / "blobs" / told.etag
    lock = hub_cache() / ".locks" / kept.name / f"{told.etag}.lock"
    for folder in (blob.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.exists():
            return
        part = blob.with_name(f"{told.etag}.incomplete")
        there = part.stat().st_size if part.exists() else 0
        with part.open("ab") as stream:
            http_get(
                url,
                stream,
                resume_size=there,
                headers=build_hf_headers(),
                expected_size=told.size,
                tqdm_class=_bar(count),
            )
        if there and len(told.etag) == _SHA256 and _digest(part) != told.etag:
            part.unlink()
            raise OSError(f"{file} arrived damaged, and was thrown away: try again")
        part.replace(blob)


def _bar(count: Callable[[int], None]) -> type[Any]:
    """What the library draws its progress with: a bar that nobody sees, which tells `count`."""
    from tqdm.std import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *words: Any, initial: int = 0, **options: Any) -> None:
            super().__init__(*words, **(options | {"disable": True}))
            self._there = initial
            count(initial)

        def update(self, n: float | None = 1) -> None:
            self._there += int(n or 0)
            count(self._there)

    return Bar


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()

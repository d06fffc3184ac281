"""Reads the hub's cache on this disk, without huggingface_hub."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from invoke.files import read_text
from invoke.models.spec import LARGEST_JSON, ModelSpec
from invoke.paths import expanded, is_there

_ADDRESS = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w.-]+))?"
    r"(/(?P<file>[\w./ +-]+\.(?:safetensors|gguf)))?",
    re.ASCII,
)
_SHARD = re.compile(r"-\d{5}-of-(?P<of>\d{5})[.\w]*\.safetensors$")


@dataclass(frozen=True, slots=True)
class Address:
    """A repository on the hub, or a file in one."""

    repository: str
    file: str = ""
    revision: str = ""
    """A branch, tag or commit; "": the latest."""

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.repository}{at}/{self.file}".rstrip("/")


def hub_address(weights: str) -> Address | None:
    """Parse `owner/repository`, `owner/repository@revision`, or either with `/file.safetensors` or `/file.gguf`.

    None if `weights` is a path or exists on this disk.
    """
    found = _ADDRESS.fullmatch(weights)
    if found is None or is_there(Path(weights)):
        return None
    return Address(found["repository"], found["file"] or "", found["revision"] or "")


def located(weights: str) -> Path | None:
    """The folder or file of `weights` on this disk, complete or not; None if there is none."""
    address = hub_address(weights)
    if address is not None:
        folder = cached_folder(address)
        path = folder / address.file if folder else None
    else:
        path = expanded(weights)
    return path if path is not None and is_there(path) else None


def is_on_disk(spec: ModelSpec) -> bool:
    """Whether `spec` can be used without a download."""
    return all(is_whole(weights, without) for weights, without in spec.downloads if hub_address(weights))


def is_whole(weights: str, without: str = "") -> bool:
    """Whether `weights` is complete on this disk, except for the part `without`.

    Downloads move each file into place only when it is complete.
    """
    path = located(weights)
    return path is not None and _is_whole(path, without)


def _is_whole(path: Path, without: str = "") -> bool:
    if not path.is_dir():
        return path.is_file()
    try:
        index = json.loads(read_text(path / "model_index.json", LARGEST_JSON))
        parts = [part for part in index if part != without and needs_weights(part, index[part])]
    except FileNotFoundError:
        return _has_weights(path)
    except (OSError, ValueError, TypeError, RecursionError):
        return False
    return all(_has_weights(path / part) for part in parts)


def needs_weights(part: str, entry: object) -> bool:
    """Whether this entry of a `model_index.json` is a network that gets loaded (not the safety checker)."""
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], str):
        return False
    kind = entry[1].removesuffix("Fast")
    return part != "safety_checker" and not kind.endswith(("Tokenizer", "Scheduler", "Processor", "Extractor"))


LONGEST_REVISION = 1000
"""Bytes of a file that names a revision."""


def cached_folder(address: Address) -> Path | None:
    """The cached folder of `address`: of its revision, or of the last known `main`.

    If that is incomplete (another revision was downloaded, or only configs), the newest complete one, else the newest.
    """
    kept = kept_folder(address.repository)
    try:
        revision = read_text(kept / "refs" / (address.revision or "main"), LONGEST_REVISION).strip()
    except (OSError, UnicodeError):
        revision = address.revision
    named = kept / "snapshots" / (revision or "main")
    if address.revision:
        return named if named.is_dir() else None
    folders = sorted(folder for folder in kept.glob("snapshots/*") if folder.is_dir())
    return max(
        folders,
        key=lambda folder: (_is_whole(folder / address.file), folder == named, folder.stat().st_mtime_ns),
        default=None,
    )


def kept_folder(repository: str) -> Path:
    """The cache folder of `repository`, whether it exists or not."""
    return hub_cache() / f"models--{repository.replace('/', '--')}"


def hub_cache() -> Path:
    """huggingface_hub's download folder."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _has_weights(folder: Path) -> bool:
    """Whether there is a whole file, or all shards `NAME-00001-of-00003.safetensors`."""
    names = [file.name for file in folder.glob("*.safetensors") if file.exists()]  # False for dangling links
    shards = Counter(found["of"] for name in names if (found := _SHARD.search(name)))
    return any(not _SHARD.search(name) for name in names) or any(count == int(of) for of, count in shards.items())

"""What of the hub lies on this disk, told without asking any library."""

import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from invoke.models.spec import ModelSpec

_ADDRESS = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*/[\w.-]+)(/(?P<file>[\w./ +-]+\.safetensors))?", re.ASCII)
_SHARD = re.compile(r"-\d{5}-of-(?P<of>\d{5})[.\w]*\.safetensors$")


@dataclass(frozen=True, slots=True)
class Address:
    """A repository of the hub, or one file of it."""

    repository: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.repository}/{self.file}".rstrip("/")


def hub_address(weights: str) -> Address | None:
    """`owner/repository` or `owner/repository/file.safetensors`; None where `weights` is a path, or on this disk."""
    found = _ADDRESS.fullmatch(weights)
    if found is None or Path(weights).exists():
        return None
    return Address(found["repository"], found["file"] or "")


def located(weights: str) -> Path | None:
    """The folder or file that `weights` means on this disk, whole or not; None where there is none."""
    address = hub_address(weights)
    if address is not None:
        folder = cached_folder(address.repository)
        path = folder / address.file if folder else None
    else:
        path = Path(os.path.expanduser(weights))  # noqa: PTH111 - an unknown ~user is a name
    return path if path is not None and path.exists() else None


def is_on_disk(spec: ModelSpec) -> bool:
    """Whether nothing of `spec` needs a download."""
    return all(is_whole(weights) for weights in (spec.weights, spec.prior) if hub_address(weights))


def is_whole(weights: str) -> bool:
    """Whether all that `weights` names is on this disk. A download puts every file in place when it is complete."""
    path = located(weights)
    if path is None:
        return False
    if path.is_file():
        return True
    try:
        index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
        parts = [part for part in index if needs_weights(part, index[part])]
    except FileNotFoundError:
        return _has_weights(path)
    except (OSError, ValueError, TypeError, RecursionError):
        return False
    return all(_has_weights(path / part) for part in parts)


def needs_weights(part: str, entry: object) -> bool:
    """Whether this entry of a `model_index.json` is a network that is loaded (the safety checker is not)."""
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], str):
        return False
    kind = entry[1].removesuffix("Fast")
    return part != "safety_checker" and not kind.endswith(("Tokenizer", "Scheduler", "Processor", "Extractor"))


def cached_folder(repository: str) -> Path | None:
    """The folder with what was fetched of `repository`: of the revision that `main` was last."""
    kept = kept_folder(repository)
    try:
        revision = (kept / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        return None
    folder = kept / "snapshots" / revision
    return folder if revision and folder.is_dir() else None


def kept_folder(repository: str) -> Path:
    """All that the cache keeps of `repository`, whether it is there or not."""
    return hub_cache() / f"models--{repository.replace('/', '--')}"


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it fetches."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{home}/huggingface"
    return Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or f"{home}/hub"))  # noqa: PTH111


def _has_weights(folder: Path) -> bool:
    """A whole file, or all shards `NAME-00001-of-00003.safetensors`."""
    names = [file.name for file in folder.glob("*.safetensors")]
    shards = Counter(found["of"] for name in names if (found := _SHARD.search(name)))
    return any(not _SHARD.search(name) for name in names) or any(count == int(of) for of, count in shards.items())

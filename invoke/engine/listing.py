"""A repository of the hub: its files, and which of them a model consists of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from invoke.engine.choosing import choose, choose_configs
from invoke.engine.hub import explained
from invoke.errors import ModelError
from invoke.models.cache import Address, cached_folder

INDEX = "model_index.json"


@dataclass(frozen=True, slots=True)
class Listing:
    """What the hub says of a repository."""

    name: str
    """Of the model, for what is said to people."""
    address: Address
    sizes: Mapping[str, int]
    """File → bytes."""
    index: Mapping[str, Any] | None
    """What its `model_index.json` says."""
    card: Mapping[str, Any]
    """What its model card says: `license`, …"""

    def files(self, *, half: bool) -> list[str]:
        """The files that make it up; see `choosing.choose`. Raises ModelError."""
        if self.address.file:
            if self.address.file not in self.sizes:
                raise ModelError(
                    f"{self.name}: {self.address.repository} has no file {self.address.file}", code="not_found"
                )
            return [self.address.file]
        return choose(self.name, self.sizes, self.index, half=half)

    def configs(self) -> list[str]:
        """All but the weights."""
        return choose_configs(self.sizes, ["", *(f"{part}/" for part in self.index or {})])

    def missing(self, files: list[str]) -> list[str]:
        """Those of `files` that are not on this disk yet."""
        folder = cached_folder(self.address.repository)
        return [file for file in files if folder is None or not (folder / file).exists()]

    def megabytes(self, files: list[str]) -> int:
        """Together, in millions of bytes, at least 1."""
        return max(1, round(sum(self.sizes[file] for file in files) / 1e6))


def ask(name: str, address: Address) -> Listing:
    """Ask the hub. Raises ModelError with what to do next."""
    from huggingface_hub import HfApi, hf_hub_download

    try:
        told = HfApi().model_info(address.repository, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in told.siblings or ()}
        index = None
        if INDEX in sizes:
            index = json.loads(Path(hf_hub_download(address.repository, INDEX)).read_text(encoding="utf-8"))
    except Exception as error:
        raise explained(name, address, error) from error
    if index is not None and not isinstance(index, dict):
        raise ModelError(f"{name}: {address.repository}/{INDEX} is damaged: it holds no object")
    return Listing(name, address, sizes, index, told.card_data.to_dict() if told.card_data else {})  # type: ignore[no-untyped-call]


def download(listing: Listing, files: list[str]) -> None:
    """Have `files` in the hub's cache. Raises ModelError."""
    from huggingface_hub import snapshot_download

    if not files:
        return
    try:
        snapshot_download(listing.address.repository, allow_patterns=[escape(file) for file in files])
    except Exception as error:
        raise explained(listing.name, listing.address, error) from error

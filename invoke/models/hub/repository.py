"""Lists the files of a hub repository and chooses which to download: configs and safetensors weights."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from glob import escape
from typing import Any

from invoke.errors import ModelError
from invoke.files import read_text
from invoke.models.hub.cache import Address, cached_folder, needs_weights
from invoke.models.hub.locate import explained
from invoke.models.spec import INDEX, LARGEST_JSON


@dataclass(frozen=True, slots=True)
class Listing:
    """The hub's information about a repository."""

    name: str
    """Name of the model, for messages."""
    address: Address
    sizes: Mapping[str, int]
    """File → bytes."""
    index: Mapping[str, Any] | None
    """Content of its `model_index.json`."""
    card: Mapping[str, Any]
    """Data of its model card: `license`, …"""

    def files(self, *, half: bool, without: str = "") -> list[str]:
        """The files that make it up; see `choose`. Raises ModelError."""
        if self.address.file:
            if self.address.file not in self.sizes:
                raise ModelError(
                    f"{self.name}: {self.address.repository} has no file {self.address.file}", code="not_found"
                )
            return [self.address.file]
        return choose(self.name, self.sizes, self.index, half=half, without=without)

    def configs(self) -> list[str]:
        """The files without weights."""
        return choose_configs(self.sizes, ["", *(f"{part}/" for part in self.index or {})])

    def missing(self, files: list[str]) -> list[str]:
        """Those of `files` that are not on this disk."""
        folder = cached_folder(self.address)
        return [file for file in files if folder is None or not (folder / file).exists()]

    def megabytes(self, files: list[str]) -> int:
        """Total size of `files` in millions of bytes, at least 1."""
        return max(1, round(sum(self.sizes[file] for file in files) / 1e6))


def ask(name: str, address: Address) -> Listing:
    """Ask the hub for a listing. Raises ModelError with a hint."""
    from huggingface_hub import HfApi, constants, hf_hub_download

    try:
        info = HfApi().model_info(
            address.repository,
            revision=address.revision or None,
            files_metadata=True,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,  # the library has none of its own here
        )
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        index = None
        if INDEX in sizes:
            file = hf_hub_download(address.repository, INDEX, revision=address.revision or None)
            index = json.loads(read_text(file, LARGEST_JSON))
    except Exception as error:
        raise explained(name, address, error) from error
    if index is not None and not isinstance(index, dict):
        raise ModelError(f"{name}: {address.repository}/{INDEX} is damaged: it is not a JSON object")
    return Listing(name, address, sizes, index, info.card_data.to_dict() if info.card_data else {})  # type: ignore[no-untyped-call]


def download(listing: Listing, files: list[str]) -> None:
    """Download `files` to the hub's cache. Raises ModelError."""
    from huggingface_hub import snapshot_download

    if not files:
        return
    try:
        snapshot_download(
            listing.address.repository,
            revision=listing.address.revision or None,
            allow_patterns=[escape(file) for file in files],
        )
    except Exception as error:
        raise explained(listing.name, listing.address, error) from error


CONFIGS = (".json", ".txt", ".model")
STEMS = ("diffusion_pytorch_model", "model", "pytorch_lora_weights", "learned_embeds")
"""Names that libraries give to weight files."""


def choose(
    name: str, files: Collection[str], index: Mapping[str, Any] | None, *, half: bool, without: str = ""
) -> list[str]:
    """Choose the files of the model `name`; `index` is the content of its `model_index.json`, if it has one.

    Of the part `without`, only configs are chosen. With `half`, weights in half precision are preferred: half the
    download, and the precision that GPUs use. The choice is made for each network separately. Raises ModelError if
    there are no safetensors weights.
    """
    if index is None:
        folders, networks = [""], [""]
    else:
        entries = {part: entry for part, entry in index.items() if isinstance(entry, list) and part != "safety_checker"}
        folders = ["", *(f"{part}/" for part in entries)]
        networks = [f"{part}/" for part, entry in entries.items() if part != without and needs_weights(part, entry)]
    weights = {folder: _weights(files, folder, half=half) for folder in networks}
    if all(weights.values()):
        return [*choose_configs(files, folders), *(file for every in weights.values() for file in every)]
    missing = next(folder for folder, found in weights.items() if not found)
    where = f"the weights of its {missing[:-1]}" if missing else "its weights"
    raise ModelError(
        f"{name}: {where} are not safetensors files; other formats can contain code and are not downloaded",
        hint="look for a newer version, or a conversion to safetensors",
    )


def choose_configs(files: Collection[str], folders: Collection[str]) -> list[str]:
    """The configs and vocabularies directly in `folders` (`""`, `"unet/"`, …)."""
    return [file for file in files if file[: file.rfind("/") + 1] in folders and file.endswith(CONFIGS)]


def _weights(files: Collection[str], folder: str, *, half: bool) -> list[str]:
    """The weights in `folder`: `model.safetensors`, `model.fp16.safetensors`, or shards of one of them."""
    for stem in STEMS:
        start = f"{folder}{stem}"
        matching = sorted(file for file in files if file.startswith(start) and file.endswith(".safetensors"))
        forms: dict[str, list[str]] = {}
        for file in matching:
            found = re.fullmatch(r"(\.[\w-]+?)?(-\d+-of-\d+)?(\.[\w-]+)?\.safetensors", file.removeprefix(start))
            if found is not None:
                forms.setdefault(found[1] or found[3] or "", []).append(file)
        usual = (".fp16", "", ".bf16") if half else ("", ".fp16", ".bf16")
        for form in (*usual, *sorted(forms)):
            if form in forms:
                whole = [file for file in forms[form] if not re.search(r"-\d+-of-\d+", file)]
                return whole or forms[form]
    return []

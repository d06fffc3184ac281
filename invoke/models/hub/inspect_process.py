"""A process that asks the hub what a model is and how large, without downloading weights."""

from dataclasses import dataclass, replace
from typing import Any

from invoke.errors import ModelError
from invoke.models import ModelSpec
from invoke.models.hub.cache import Address, hub_address, located
from invoke.models.hub.locate import explained
from invoke.models.hub.repository import Listing, ask, download
from invoke.models.recognise import recognise_folder, recognise_header
from invoke.processes import answer_parent


@dataclass(frozen=True, slots=True)
class Inspect:
    """The request; the answer is a ModelSpec or a ModelError."""

    name: str
    address: Address


def inspect(question: Inspect) -> ModelSpec:
    """Identify a repository or file, with size and licence; downloads its configs.

    Raises ModelError.
    """
    listing = ask(question.name, question.address)
    listing = replace(listing, address=_alone(listing) or listing.address)
    files = listing.files(half=listing.index is not None)
    if listing.address.file:
        spec = _from_header(listing)
    else:
        download(listing, listing.missing(listing.configs()))
        folder = located(str(listing.address))
        if folder is None:
            raise ModelError(f"{listing.name}: {listing.address} has no configs that identify it")
        spec = recognise_folder(listing.name, folder, weights=str(listing.address))
    return replace(
        spec,
        licence=str(listing.card.get("license_name") or listing.card.get("license") or ""),
        prior=spec.prior or (_prior(listing) if spec.family == "kandinsky" else ""),
        megabytes=listing.megabytes(files),
    )


def _alone(listing: Listing) -> Address | None:
    """The only weight file of a repository that is not in diffusers layout: a LoRA, an embedding, an upscaler."""
    if listing.address.file or listing.index is not None or "config.json" in listing.sizes:
        return None
    files = [file for file in listing.sizes if file.endswith(".safetensors") and "/" not in file]
    if len(files) == 1:
        return replace(listing.address, file=files[0])
    found = f"it has {len(files)} of them" if files else "it has none"
    raise ModelError(
        f"{listing.name}: this repository has neither a model in diffusers layout nor a single .safetensors file: "
        f"{found}",
        hint=f"name the file: {listing.address.repository}/{files[0] if files else 'FILE.safetensors'}",
    )


def _from_header(listing: Listing) -> ModelSpec:
    from huggingface_hub import HfApi

    address = listing.address
    try:
        metadata = HfApi().parse_safetensors_file_metadata(
            address.repository, address.file, revision=address.revision or None
        )
    except Exception as error:
        raise explained(listing.name, address, error) from error
    fields: dict[str, Any] | None = recognise_header(
        {name: {"shape": row.shape, "dtype": row.dtype} for name, row in metadata.tensors.items()}
    )
    if fields is None:
        raise ModelError(f"{listing.name}: this file does not hold a supported model", code="unknown_family")
    return ModelSpec(name=listing.name, weights=str(address), **fields)


def _prior(listing: Listing) -> str:
    """The prior that the model card of a decoder names."""
    named = listing.card.get("prior") or ""
    prior = str(named[0] if isinstance(named, list) else named)
    return prior if hub_address(prior) else ""


def main() -> None:
    """Answer the request on standard input. Called in a fresh process."""
    answer_parent(Inspect, inspect)

"""Locates weights on this disk, and explains the hub's errors. `download` downloads what is missing."""

import errno
import os
from dataclasses import replace
from pathlib import Path

from invoke.errors import ModelError, first_line
from invoke.models import ModelSpec
from invoke.models.hub.cache import Address, hub_address, located

UNAUTHORISED = 401


def on_disk(name: str, weights: str) -> Path:
    """The folder or file of `weights` of the model `name`: a path, or a place in the hub's cache.

    Raises ModelError if it is not on this disk.
    """
    path = located(weights)
    if path is not None:
        return path
    if hub_address(weights) is None:
        kind = "file" if Path(weights).suffix else "folder"
        raise ModelError(f"{name}: there is no {kind} {weights}")
    raise ModelError(
        f"{name}: this model has not been downloaded yet",
        code="not_on_disk",
        hint="a line that needs it asks before it is downloaded",
    )


def with_local_paths(spec: ModelSpec) -> ModelSpec:
    """Replace hub ids in `spec` with paths on this disk. Raises ModelError if something is missing."""
    weights, prior, gguf = (
        str(on_disk(spec.name, place)) if place else "" for place in (spec.weights, spec.prior, spec.gguf)
    )
    return replace(spec, weights=weights, prior=prior, gguf=gguf)


def is_offline() -> bool:
    """Whether huggingface_hub's environment variables forbid network access."""
    values = (os.environ.get(name, "").upper() for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(word in {"1", "ON", "YES", "TRUE"} for word in values)


def offline_error(name: str) -> ModelError:
    """The error while offline."""
    return ModelError(
        f"{name}: this model is not on this disk and cannot be downloaded while offline",
        code="offline",
        hint="download it once without --offline and HF_HUB_OFFLINE, or name a folder or a .safetensors file",
    )


def explained(name: str, address: Address, error: Exception) -> ModelError:
    """Turn an error of huggingface_hub into a ModelError with a hint."""
    from huggingface_hub import errors as hub
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    match error:
        case hub.GatedRepoError():
            return ModelError(
                f"{name}: its licence must be accepted first",
                code="gated",
                hint=f"accept it at https://huggingface.co/{address.repository}, then run: hf auth login",
            )
        case hub.RepositoryNotFoundError():
            return ModelError(
                f"{name}: the hub has no model {address.repository}, or it is private",
                code="not_found",
                hint="check the spelling; for a private one run: hf auth login",
            )
        case hub.EntryNotFoundError() if address.file:
            return ModelError(f"{name}: {address.repository} has no file {address.file}", code="not_found")
        case hub.OfflineModeIsEnabled():
            return offline_error(name)
        case hub.HfHubHTTPError() if error.response is not None and error.response.status_code == UNAUTHORISED:
            return ModelError(f"{name}: the hub does not accept your token", code="gated", hint="run: hf auth login")
        case hub.HFValidationError():
            return ModelError(f"{name}: {address.repository} is not a valid hub id", code="not_found")
        case hub.LocalEntryNotFoundError() | HTTPError() if not isinstance(error, hub.HfHubHTTPError):
            return ModelError(
                f"{name}: this model is not on this disk, and the hub is unreachable",
                code="unreachable",
                hint="check the network connection; the partial download is kept",
            )
        case OSError() if error.errno == errno.ENOSPC:
            return ModelError(f"{name}: the disk is full", code="no_space", hint="the partial download is kept")
    return ModelError(f"{name}: could not be downloaded from the hub: {first_line(error)}", code="hub_failed")

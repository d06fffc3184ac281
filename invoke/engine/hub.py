"""Models on the Hugging Face hub: fetched into its cache, then loaded like any folder."""

from pathlib import Path
from typing import Any

from invoke.engine.folders import CONFIGS, WEIGHTS, ModelFolder, check_folder
from invoke.errors import ModelError

SHARD = "-0????-of-?????"


def fetch_model(name: str, repository: str, *, offline: bool) -> ModelFolder:
    """The whole model `repository`: from the cache if it is there, else from the hub.

    Raises ModelError with what to do next.
    """
    offline = offline or is_offline()
    try:
        return check_folder(name, _snapshot(name, repository, _patterns("*"), offline=True))
    except ModelError as error:
        if offline or error.code == "unknown_family":
            raise
    folder = _snapshot(name, repository, _patterns(""), offline=False)
    if not any(folder.glob("unet/*.safetensors")):
        folder = _snapshot(name, repository, _patterns(".fp16"), offline=False)
    return check_folder(name, folder)


def fetch_configs(name: str, repository: str, *, offline: bool) -> Path:
    """The folder with everything of `repository` but its weights."""
    offline = offline or is_offline()
    try:
        return _snapshot(name, repository, list(CONFIGS), offline=True)
    except ModelError:
        if offline:
            raise
        return _snapshot(name, repository, list(CONFIGS), offline=False)


def is_offline() -> bool:
    """Whether the environment forbids asking the hub (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def _patterns(variant: str) -> list[str]:
    """Configs, and the weights named so: `model.safetensors`, `model-00001-of-00002.safetensors`."""
    stems = [f"{part}/{stem}{variant}" for part, stem in WEIGHTS.items()]
    return [*CONFIGS, *(f"{stem}{shard}.safetensors" for stem in stems for shard in ("", SHARD))]


def _snapshot(name: str, repository: str, patterns: list[str], *, offline: bool) -> Path:
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=offline))
    except hub.GatedRepoError as error:
        raise ModelError(
            f"{name}: its makers want their licence to be accepted first",
            hint=f"accept it at https://huggingface.co/{repository}, then run: hf auth login",
        ) from error
    except hub.RepositoryNotFoundError as error:
        raise ModelError(
            f"{name}: the hub has no model {repository}, or it is private",
            hint="check the spelling; for a private one run: hf auth login",
        ) from error
    except (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled) as error:
        raise _not_here(name, offline=offline) from error
    except (hub.HfHubHTTPError, hub.HFValidationError, OSError) as error:
        raise ModelError(f"{name}: could not be fetched from the hub: {_first_line(error)}") from error


def _not_here(name: str, *, offline: bool) -> ModelError:
    if offline:
        return ModelError(
            f"{name}: this model is not on this disk, and no hub may be asked (offline)",
            hint="fetch it once without --offline, or name a folder or a .safetensors file",
        )
    return ModelError(
        f"{name}: this model is not on this disk, and the hub cannot be reached",
        hint="check the network; -m pocket works without one",
    )


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""Whether a model's weights are on this disk, told without asking any library."""

import os
from pathlib import Path

from invoke.models import ModelSpec


def is_on_disk(spec: ModelSpec) -> bool:
    """Whether `spec` can be loaded without a download: its folder or file is there, or the hub's cache has it."""
    if Path(os.path.expanduser(spec.weights)).exists():  # noqa: PTH111 - an unknown ~user is a name
        return True
    snapshots = _hub_cache() / f"models--{spec.weights.replace('/', '--')}" / "snapshots"
    return snapshots.is_dir() and any(snapshots.iterdir())


def _hub_cache() -> Path:
    """As huggingface_hub finds it."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{home}/huggingface"
    return Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or f"{home}/hub"))  # noqa: PTH111

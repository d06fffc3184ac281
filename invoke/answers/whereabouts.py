"""Where a model is: in memory, on this disk, or still to be fetched."""

import os
from pathlib import Path

from invoke.downloads import size_shown
from invoke.models import ModelSpec
from invoke.models.cache import hub_address, is_on_disk


def whereabouts(spec: ModelSpec, in_memory: tuple[str, ...]) -> str:
    """`in memory`, `on disk`, `2.1 GB to fetch`, or `missing`."""
    if spec.name in in_memory:
        return "in memory"
    if hub_address(spec.weights) is None:
        path = Path(os.path.expanduser(spec.weights))  # noqa: PTH111 - an unknown ~user is a name
        return "on disk" if path.exists() else "missing"
    if is_on_disk(spec):
        return "on disk"
    return f"{size_shown(spec.megabytes)} to fetch" if spec.megabytes else "to fetch"

"""Finds models, and what they are combined with (ControlNets, LoRAs, upscalers, …), by name. Reads no weights.

`read_registry` reads `configs/models.yaml` and the user's own list; `Registry.find` also accepts folders, files and hub
ids.
"""

from invoke.models.registry import Registry
from invoke.models.spec import DEFAULT_MODEL, Kind, ModelSpec
from invoke.models.yaml_lists import PACKAGE, read_registry

__all__ = ["DEFAULT_MODEL", "PACKAGE", "Kind", "ModelSpec", "Registry", "read_registry"]

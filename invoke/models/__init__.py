"""Models, and what is added to them (ControlNets, LoRAs, upscalers, …), by name. No weights are read here.

`read_registry` reads `configs/models.yaml` and the user's own list; `Registry.find` also takes any folder, file or
hub id.
"""

from invoke.models.registry import Registry
from invoke.models.spec import DEFAULT_MODEL, Kind, ModelSpec
from invoke.models.yaml_lists import PACKAGE, read_registry

__all__ = ["DEFAULT_MODEL", "PACKAGE", "Kind", "ModelSpec", "Registry", "read_registry"]

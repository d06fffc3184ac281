"""The adapters of a picture: LoRAs and textual inversions, loaded and applied by `loading.Adapters`."""

from invoke.engine.adapters.loading import Adapters, AdapterSet, adapter_names, adapters_of, networks_of

__all__ = ["AdapterSet", "Adapters", "adapter_names", "adapters_of", "networks_of"]

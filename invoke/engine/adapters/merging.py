"""Changes weights in place for one picture, and restores them exactly.

In place, because CUDA graphs and offloading hold references to the tensors of a network. `loading.py` reads what
is merged.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError

from invoke.engine.adapters.lora_layouts import Change, Changes, Networks
from invoke.engine.components.compiling import without_constants
from invoke.engine.components.packing import unpacked
from invoke.errors import ModelError


class MergedWeights:
    """Merges LoRAs into the weights of a model's networks."""

    def __init__(self, model: str, networks: Networks) -> None:
        """`model`: its name, for messages."""
        self._model = model
        self._networks = networks
        self._originals: dict[tuple[str, str, str], torch.Tensor] = {}
        """(network, module, `weight` or `bias`) → the original tensor, on the CPU."""
        self._on_restore: list[Callable[[], None]] = []

    @torch.no_grad()
    def restore(self) -> None:
        """Restore every weight bit-identically."""
        with unpacked(*{self._networks[part].get_submodule(module) for part, module, _ in self._originals}):
            for (part, module, name), original in self._originals.items():
                self._weights(part, module)[name].copy_(original)
        self._originals.clear()
        while self._on_restore:
            self._on_restore.pop()()

    @torch.no_grad()
    def merge(self, loras: Sequence[tuple[str, Changes, float]], identity: str = "changed") -> None:
        """Add the changes of each LoRA (name, changes, strength), all computed from the original weights.

        `identity` tells the sum from that of other LoRAs. Raises ModelError if one does not fit; `restore` then
        puts back what was changed so far.
        """
        self.restore()
        places: dict[tuple[str, str], list[tuple[str, Change, float]]] = {}
        for name, changes, strength in loras:
            for place, change in changes.items():
                places.setdefault(place, []).append((name, change, strength))
        changed = {part: self._networks[part] for part, _ in places}
        self._on_restore += [without_constants(network, identity) for network in changed.values()]
        with unpacked(*(self._networks[part].get_submodule(module) for part, module in places)):
            self._add(places)

    def _add(self, places: Mapping[tuple[str, str], Sequence[tuple[str, Change, float]]]) -> None:
        for (part, module), changes in places.items():
            weights = self._weights(part, module)
            if not all(weight.is_floating_point() for weight in weights.values()):
                raise ModelError(f"{self._model}: {module} is quantised, so LoRAs cannot be merged into it")
            plain = {name: weight.float() for name, weight in weights.items()}
            sums = dict(plain)
            for lora, change, strength in changes:
                with fitting(lora, self._model, "LoRA"):
                    for name, delta in change.deltas(plain, strength).items():
                        sums[name] = sums[name] + delta
            for name, changed in sums.items():
                if changed is not plain[name]:
                    self._originals[part, module, name] = weights[name].detach().to("cpu", copy=True)
                    weights[name].copy_(changed)

    def _weights(self, part: str, module: str) -> Mapping[str, torch.Tensor]:
        """`weight` and `bias` of a module, even if they are offloaded to the CPU."""
        owner = self._networks[part].get_submodule(module)
        found: dict[str, Any] = {name: getattr(owner, name, None) for name in ("weight", "bias")}
        if any(weight is not None and weight.is_meta for weight in found.values()):
            waiting: Any = owner._hf_hook
            found = {name: waiting.weights_map[name] for name, weight in found.items() if weight is not None}
        return {name: weight for name, weight in found.items() if weight is not None}


@contextmanager
def fitting(name: str, model: str, kind: str) -> Iterator[None]:
    """Turn the errors that libraries raise about a file that does not fit into a ModelError."""
    try:
        yield
    except (OSError, ValueError, ArithmeticError, RuntimeError, LookupError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{name}: this {kind} does not fit {model}: it was made for another architecture",
            code="does_not_fit",
            hint="use it with a model of the kind it was trained on",
        ) from error

"""ModelPool: loaded networks by name, within a memory budget; the least recently used one is unloaded first."""

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from time import perf_counter
from typing import Any, TypeVar

import torch

from invoke.engine.components.devices import Placement, free, is_out_of_memory
from invoke.engine.components.quantization import QUANTIZATIONS
from invoke.engine.families.auto import Auto
from invoke.engine.loading.load import Others, check_quantized, load
from invoke.engine.loading.stamps import Stamp, weights_stamp
from invoke.engine.model_protocol import Model
from invoke.errors import ModelError
from invoke.events import Downloading, DownloadRequired, EngineEvent, Loaded, Loading, Note
from invoke.models import Kind, ModelSpec, Registry
from invoke.models.hub.download import fetch
from invoke.models.hub.locate import with_local_paths
from invoke.models.loadable import bytes_of_parts, bytes_of_weights

Network = TypeVar("Network")
_Key = tuple[tuple[str, ...], Stamp]


class ModelPool:
    """A cache of loaded networks, so that switching back to one costs nothing."""

    def __init__(self, models: Registry, place: Placement, *, offline: bool = False, budget: int = 2**63) -> None:
        """`budget` is in bytes; the newest network stays whatever its size."""
        self.models = models
        self.place = place
        self.offline = offline
        self._budget = budget
        self._values: OrderedDict[_Key, tuple[Any, int, ModelSpec]] = OrderedDict()
        """Key → the network, its size in bytes, and its spec."""

    def model(self, name: str) -> Model:
        """The model called `name`, for our own denoising loop. Raises ModelError."""
        found = self.any_model(name)
        if isinstance(found, Auto):
            raise ModelError(
                f"{name}: this model runs in its own diffusers pipeline and cannot be combined with others"
            )
        return found

    def any_model(self, name: str) -> Model | Auto:
        """The model called `name`, of any family. Raises ModelError."""
        return self.get(name, "model", self._load)

    def placement_of(self, name: str) -> Placement:
        """The placement that the model called `name` has when it is loaded. Raises ModelError."""
        return self._placed(with_local_paths(self.models.find(name)))

    def has(self, name: str, kind: Kind = "model") -> bool:
        return self._key(self.models.find(name, kind), kind) in self._values

    def get(self, name: str, kind: Kind, read: Callable[..., Network]) -> Network:
        """The network called `name`, loaded with `read(spec, place)` if it is not cached. Raises ModelError."""
        spec = self.models.find(name, kind)
        key = self._key(spec, kind)
        if key not in self._values:
            self._drop_replaced(key)
            with _naming(name):
                found = with_local_paths(spec)
                place = self._placed(found)
                value = self._read(lambda: read(found, place))
            self._values[key] = value, weight(value), spec
            self._make_room(key)
        network: Network = self._used(key)
        return network

    def ready(self, name: str, kind: Kind, read: Callable[..., Network]) -> Generator[EngineEvent, None, Network]:
        """Like `get`, but downloads the network if needed, and yields the events of that. Raises ModelError."""
        key = self._key(self.models.find(name, kind), kind)
        if key in self._values:
            held: Network = self._used(key)
            return held
        if kind == "model":
            with _naming(name):
                check_quantized(self.models.find(name), self.place)
        yield from self.fetch(name, kind)
        if kind == "model" and (text := self._too_large(name)):
            yield Note(text)
        yield Loading(name)
        began = perf_counter()
        found = self.get(name, kind, read)
        place = getattr(found, "place", self.place)
        yield Loaded(name, place.device_name, place.dtype_name, perf_counter() - began)
        return found

    def _too_large(self, name: str) -> str:
        """A warning, with what to type, if the model called `name` exceeds the memory budget; else ""."""
        spec = with_local_paths(self.models.find(name))
        how, offload = spec.quantize or self.place.quantize, self._placed(spec).offload
        share = QUANTIZATIONS[how].share if how in QUANTIZATIONS else 1
        sizes = [size * share for size in bytes_of_parts(spec).values()]
        needed = {"none": sum(sizes), "model": max(sizes, default=0)}.get(offload, 0)
        if needed <= self._budget:
            return ""
        hints = ["--quantize int8 halves them"] if spec.family == "auto" and how == "none" else []
        if self.place.device.type != "cpu":
            hints += ["--offload model keeps idle networks off the device"] if offload == "none" else []
            hints += ["--offload group keeps idle layers off it, too"]
        largest = "its weights take" if offload == "none" else "its largest network takes"
        return (
            f"{name}: {largest} about {needed / 1e9:.1f} GB, but models may use only {self._budget / 1e9:.1f} GB"
            f"{': ' if hints else ''}{'; '.join(hints)}"
        )

    def ready_model(self, name: str) -> Generator[EngineEvent, None, "Model | Auto"]:
        """The model called `name`, of any family; see `ready`."""
        return (yield from self.ready(name, "model", self._load))

    def fetch(self, name: str, kind: Kind = "model") -> Iterator[DownloadRequired | Downloading]:
        """Download the missing files of the model called `name`; see `hub.download.fetch`. Raises ModelError."""
        if not self.has(name, kind):
            spec = self.models.find(name, kind)
            with _naming(name):
                yield from fetch(spec, offline=self.offline)
            for other, its_kind in spec.companions:
                yield from self.fetch(other, its_kind)

    def drop(self, kind: Kind) -> None:
        """Unload all networks of this `kind`; `free` returns their memory."""
        for key in [key for key in self._values if key[0][0] == kind]:
            del self._values[key]

    def forget(self) -> None:
        """Clear the caches of the loaded networks and remove their adapters; see each network's `forget`."""
        for network, _, _ in self._values.values():
            getattr(network, "forget", lambda: None)()

    def drop_changed(self) -> None:
        """Unload networks whose files have changed or disappeared, or differ because the working folder changed."""
        changed = [key for key, (_, _, spec) in self._values.items() if weights_stamp(spec, self.models) != key[1]]
        for key in changed:
            del self._values[key]
        if changed:
            free(self.place)

    def clear(self) -> None:
        self._values.clear()
        free(self.place)

    @property
    def bytes(self) -> int:
        return sum(size for _, size, _ in self._values.values())

    def _load(self, spec: ModelSpec, place: Placement) -> Model | Auto:
        def found(name: str, kind: Kind) -> ModelSpec | None:
            return with_local_paths(self.models.find(name, kind)) if name else None

        return load(
            spec, place, Others(found(spec.vae, "vae"), found(spec.base, "model"), found(spec.preview_vae, "vae"))
        )

    def _placed(self, spec: ModelSpec) -> Placement:
        """Where the networks of `spec` compute, and where they wait."""
        place = self.place.for_size(bytes_of_weights(spec))
        return replace(place, offload=spec.offload) if spec.offload and place.device.type != "cpu" else place

    def _used(self, key: _Key) -> Any:
        """What was loaded by `key`, which is the last one to go from now on."""
        self._values.move_to_end(key)
        return self._values[key][0]

    def _read(self, read: Callable[[], Network]) -> Network:
        try:
            return read()
        except RuntimeError as error:
            if not is_out_of_memory(error) or not self._values:
                raise
        self.clear()  # outside the except block, which keeps every tensor of the failed attempt alive
        return read()

    def _key(self, spec: ModelSpec, kind: Kind) -> _Key:
        """The cache key: two names for the same files share one; replaced files get a new one.

        A loaded network stays usable when its files are gone.
        """
        names, stamp = _names(spec, kind), weights_stamp(spec, self.models)
        return next((key for key in self._values if key[0] == names and not stamp), (names, stamp))

    def _drop_replaced(self, key: _Key) -> None:
        """Unload networks that were read from earlier versions of the same files."""
        replaced = [other for other in self._values if other[0] == key[0]]
        for other in replaced:
            del self._values[other]
        if replaced:
            free(self.place)

    def _make_room(self, newest: _Key) -> None:
        before = len(self._values)
        while self.bytes > self._budget and next(iter(self._values)) != newest:
            self._values.popitem(last=False)
        if len(self._values) < before:
            free(self.place)


@contextmanager
def _naming(model: str) -> Iterator[None]:
    """Set `model` of any ModelError raised inside; when nested, the outermost name (the requested model) wins."""
    try:
        yield
    except ModelError as error:
        error.model = model
        raise


def weight(value: Any) -> int:
    """Bytes of all parameters and buffers in `value`: a network, a pipeline, or a dataclass of networks."""
    return sum(held(tensor) for tensor in {id(tensor): tensor for tensor in _tensors(value)}.values())


def held(tensor: Any) -> int:
    """Bytes of `tensor`, or of the tensors inside a quantised one."""
    if hasattr(tensor, "__tensor_flatten__") and type(tensor) is not torch.Tensor:
        return sum(held(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    return int(tensor.nbytes)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.nn.Module):
        return [*value.parameters(), *value.buffers()]
    if isinstance(value, dict):
        return [tensor for part in value.values() for tensor in _tensors(part)]
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in _tensors(part)]
    if is_dataclass(value):
        return [tensor for row in fields(value) for tensor in _tensors(getattr(value, row.name))]
    return _tensors(getattr(value, "components", ()))


_NOT_LOADED = frozenset(
    {
        *("name", "kind", "description", "licence", "megabytes", "stated", "triggers", "vocabulary", "lora", "mode"),
        *("min_side", "max_side", "multiple", "sampler", "steps", "guidance_scale", "image_encoder"),
    }
)
"""Fields of a ModelSpec that no loaded network depends on. A new field is not among them until it is known to belong
here: at worst, a network is loaded twice."""


def _names(spec: ModelSpec, kind: Kind) -> tuple[str, ...]:
    """The first part of the cache key: everything in `spec` that affects what is loaded, but not its name."""
    return kind, *(str(getattr(spec, row.name)) for row in fields(spec) if row.name not in _NOT_LOADED)

"""DiffusionEngine: requests in, events out, in this process."""

from collections.abc import Generator, Hashable, Iterator, Sequence
from contextlib import closing

import torch

from invoke.engine import Job
from invoke.engine.adapters import adapters_of
from invoke.engine.components.devices import (
    Placement,
    choose_placement,
    free,
    memory_for_models,
    memory_held,
)
from invoke.engine.components.packing import can_pack
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.pipeline.picture import Caches, make_picture
from invoke.engine.pipeline.text_mask import TextMasks
from invoke.engine.sampling.batching import run_batched
from invoke.engine.sampling.cuda_graphs import captured
from invoke.engine.sampling.flat_calls import flattened
from invoke.engine.sampling.model_call import Executor, run_eager
from invoke.engine.sampling.recorded_calls import RecordedCalls
from invoke.errors import InvokeError
from invoke.events import (
    NO_PREVIEWS,
    EngineEvent,
    EngineState,
    Freed,
    Note,
    Previews,
    single,
)
from invoke.images import open_picture
from invoke.models import Registry, recognise
from invoke.options import EngineOptions
from invoke.request import Request


class DiffusionEngine:
    """Makes pictures with models of any family."""

    def __init__(self, models: Registry, options: EngineOptions | None = None) -> None:
        options = options or EngineOptions()
        self.place = choose_placement(options)
        if options.threads:
            torch.set_num_threads(options.threads)
        budget = memory_for_models(options, self.place)
        self._pool = ModelPool(models, self.place, offline=options.offline, budget=budget)
        self._caches = Caches(TextMasks(self._pool))
        self._check_safety = options.safety_checker
        self._executor = _executor(options, self.place)

    def generate(self, request: Request, *, previews: Previews = NO_PREVIEWS) -> Generator[EngineEvent, None, None]:
        """See `Engine.generate`. Errors in the input pictures are raised before a model is loaded."""
        return single(self.generate_batch([(request, previews)]))

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        """See `Engine.generate_batch`."""
        for size, indexes in self._batches([request for request, _ in jobs]):
            making = [
                make_picture(jobs[index], self._pool, self._caches, check_safety=self._check_safety)
                for index in indexes
            ]
            compiler = self.place.compiler
            compiler.begin_picture()
            with closing(run_batched(making, size, self._executor)) as happened:
                for place, event in happened:
                    yield from ((indexes[place], Note(text)) for text in compiler.notes())
                    yield indexes[place], event if isinstance(event, InvokeError) else compiler.recorded(event)

    def _batches(self, requests: Sequence[Request]) -> Iterator[tuple[int, list[int]]]:
        """Group `requests` into batches: yields the batch size and the indexes of requests that can share batches."""
        groups: dict[Hashable, list[int]] = {}
        for index, request in enumerate(requests):
            kind = None if self._is_drawn_alone(request) else self._batch_key(request)
            groups.setdefault(index if kind is None else kind, []).append(index)
        for key, indexes in groups.items():
            # the longest first, so that the last ones end at about the same time and little is wasted on padding
            indexes.sort(key=lambda index: _steps(requests[index]), reverse=True)
            yield 1 if isinstance(key, int) else requests[indexes[0]].batch_size, indexes

    def _is_drawn_alone(self, request: Request) -> bool:
        """Whether `request` is never batched, which keeps its result bit-identical."""
        changes_networks = request.seamless or request.freeu or request.pag_scale
        if request.batch_size == 1 or request.before or request.embiggen or changes_networks or request.refiner:
            return True
        try:
            return _gains_nothing(self._pool.placement_of(request.model))
        except InvokeError:
            return False  # drawing it raises the error

    def _batch_key(self, request: Request) -> Hashable | None:
        """The key that requests of one batch share: the networks, and how they are modified. None: not batched."""
        try:
            added = adapters_of(request, self._pool.models)
        except InvokeError:
            return None  # drawing it raises the error
        controls = tuple((name, *rest) for name, _, *rest in (*request.controls, *request.ip_adapters))
        key = request.model, request.size, request.guidance_scale <= 1, request.reuse, controls, added
        return request.batch_size, key

    def segment(self, path: str, text: str) -> Generator[EngineEvent, None, None]:
        """See `Engine.segment`."""
        picture = open_picture(path)
        yield from self._caches.text_masks.load()
        yield self._caches.text_masks.heat(picture, text)

    def unload(self) -> Generator[EngineEvent, None, None]:
        """See `Engine.unload`."""
        before = memory_held(self.place)
        self.close()
        yield Freed(self.place.device_name, before, memory_held(self.place))

    @property
    def state(self) -> EngineState:
        return EngineState("ready")

    def kill(self) -> None:
        """Nothing to do: the caller runs the work."""

    @property
    def in_memory(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self._pool.models if self._pool.has(spec.name, spec.kind))

    def set_models(self, models: Registry) -> None:
        """See `Engine.set_models`."""
        self._pool.models = models

    def forget(self) -> None:
        """Clear every cache of earlier pictures and prompts; the models stay loaded."""
        self._caches.clear()
        self._pool.forget()
        recognise.forget()

    def drop_changed(self) -> None:
        """Unload the models whose files have changed since they were read."""
        self._pool.drop_changed()

    def tidy(self) -> None:
        """Return unused memory to the device."""
        free(self.place)

    def place_of(self, model: str) -> Placement:
        """The placement of `model`, which is loaded if necessary."""
        return self._pool.any_model(model).place

    def load(self, model: str) -> None:
        """Load `model` now: this engine does not work in the background."""
        self._pool.any_model(model)

    def close(self) -> None:
        self.place.compiler.close()
        self._caches.clear()
        if isinstance(self._executor, RecordedCalls):
            self._executor.clear()
        self._pool.clear()


def _executor(options: EngineOptions, place: Placement) -> Executor:
    """How networks are called; recordings would bypass networks that are compiled on a CPU."""
    if options.graphs and place.device.type == "cuda":
        return RecordedCalls(captured())
    if options.graphs and place.device.type == "cpu" and not options.compile:
        return RecordedCalls(flattened)
    return run_eager


def _steps(request: Request) -> int:
    """About how many times the denoiser is called."""
    return request.steps if request.init_image is None else request.points


def _gains_nothing(place: Placement) -> bool:
    """Whether a batch takes as long as its pictures one after another.

    This holds for large networks with packed weights on a CPU: four guided pictures of Stable Diffusion 1.5 at 256×256
    take 3.8 times as long as one, and padding to a full batch is wasted.
    """
    return place.device.type == "cpu" and place.dtype == torch.bfloat16 and can_pack()

"""DiffusionEngine: requests in, events out, in this process."""

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import closing
from functools import partial

from invoke.engine import Job
from invoke.engine.adapters import adapter_names, adapters_of
from invoke.engine.components.devices import (
    Placement,
    choose_placement,
    free,
    is_out_of_memory,
    memory_for_models,
    memory_held,
)
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.img2img.outpainting import grow
from invoke.engine.img2img.prepared import Prepared, prepare_init
from invoke.engine.loading.controlnets import load_controlnets
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.pipeline.chains import PreviousPicture, with_latents
from invoke.engine.pipeline.embiggen import embiggened, enlarged
from invoke.engine.pipeline.latents import LatentCache
from invoke.engine.pipeline.picture import draw, untouched
from invoke.engine.pipeline.text_mask import KIND as TEXT_MASK
from invoke.engine.pipeline.text_mask import TextMasks
from invoke.engine.postprocess.apply import load_postprocessors, postprocess
from invoke.engine.postprocess.safety_checker import KIND, NAME, checked
from invoke.engine.sampling.batching import run_batched
from invoke.engine.sampling.cuda_graphs import Graphs, captured
from invoke.engine.sampling.model_call import Executor, Generation, PipelineEvent, run_eager
from invoke.errors import EngineError, InvokeError
from invoke.events import (
    NO_PREVIEWS,
    Detected,
    EngineEvent,
    Finished,
    Freed,
    Note,
    Postprocessing,
    Previews,
    Started,
    Step,
    single,
)
from invoke.images import open_picture
from invoke.models import Kind, Registry
from invoke.options import EngineOptions
from invoke.paths import expanded
from invoke.request import Request


class DiffusionEngine:
    """Makes pictures with whatever family a model is of."""

    def __init__(self, models: Registry, options: EngineOptions | None = None) -> None:
        options = options or EngineOptions()
        self.place = choose_placement(options)
        budget = memory_for_models(options, self.place)
        self._pool = ModelPool(models, self.place, offline=options.offline, budget=budget)
        self._prepared: LRUCache[Prepared] = LRUCache(4)
        self._made: LRUCache[PreviousPicture] = LRUCache(4)
        self._latent_cache = LatentCache()
        self._is_checked = options.safety_checker
        self._text_masks = TextMasks(self._pool)
        is_cuda = self.place.device.type == "cuda"
        self._compute: Executor = Graphs(captured()) if is_cuda and options.graphs else run_eager

    def generate(self, request: Request, *, previews: Previews = NO_PREVIEWS) -> Generator[EngineEvent, None, None]:
        """See `Engine.generate`. What is wrong with the pictures is said before a model is loaded."""
        return single(self.generate_batch([(request, previews)]))

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        """See `Engine.generate_together`."""
        for size, indexes in self._alike([request for request, _ in jobs]):
            drawings = [self._generate(*jobs[index]) for index in indexes]
            with closing(run_batched(drawings, size, self._compute)) as happened:
                for place, event in happened:
                    yield indexes[place], event

    def _alike(self, requests: Sequence[Request]) -> Iterator[tuple[int, list[int]]]:
        """How many of `requests` are drawn side by side, and the indexes of those that can be."""
        groups: dict[Hashable, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(self._kind(request, index), []).append(index)
        for indexes in groups.values():
            yield requests[indexes[0]].batch_size, indexes

    def _kind(self, request: Request, index: int) -> Hashable:
        """What requests that are drawn side by side have in common: the networks, and what is done to them."""
        if request.batch_size == 1 or request.before or request.embiggen or request.seamless or request.refiner:
            return index
        try:
            added = adapters_of(request, self._pool.models)
        except InvokeError:
            return index  # its drawing says it
        controls = tuple((name, scale) for name, _, scale in request.controls)
        alike = request.model, request.size, request.guidance_scale <= 1, request.reuse, controls, added
        return request.batch_size, alike

    def _generate(self, request: Request, previews: Previews) -> Generator[PipelineEvent, None, None]:
        before = yield from self._before(request)
        if self._is_checked:
            yield from self._pool.fetch(NAME, KIND)
        if request.text_mask is not None:
            yield from self._text_masks.load()
        prepared = self._prepare(request, before)
        tools = yield from load_postprocessors(request, self._pool)
        making = postprocess(request, tools, self._pool, self._drawn(request, prepared, before, previews))
        yield from self._remembered(request, making)

    def _before(self, request: Request) -> Generator[PipelineEvent, None, PreviousPicture | None]:
        """The picture that a part of a chain starts from: as it was made a moment ago, or made again in silence."""
        if request.before is None:
            return None
        if request.before not in self._made:
            with closing(self._generate(request.before, NO_PREVIEWS)) as events:
                for event in events:
                    if not isinstance(event, Detected | Started | Step | Postprocessing | Finished):
                        yield event
        return self._made.get_or_compute(request.before, _lost)

    def _remembered(self, request: Request, making: Generation) -> Generator[PipelineEvent, None, None]:
        """The events of `making`; what it made is kept for the next part of a chain."""
        image, latents, objected = None, None, False
        with closing(making):
            while True:
                try:
                    event = next(making)
                except StopIteration as end:
                    latents = end.value
                    break
                if isinstance(event, Postprocessing) and self._is_checked:
                    for seen in checked(self._pool, event.picture):
                        yield Postprocessing(seen) if isinstance(seen, Finished) else seen
                    continue
                if not isinstance(event, Finished):
                    yield event
                    continue
                for seen in checked(self._pool, event) if self._is_checked else (event,):
                    image = seen.image if isinstance(seen, Finished) else image
                    yield seen
                objected = image is not None and image is not event.image
        if image is not None:
            self._made.get_or_compute(request, partial(PreviousPicture, image, None if objected else latents))

    def _added(self, request: Request) -> list[tuple[str, Kind]]:
        """What is loaded in the middle of drawing, and must be on this disk by then."""
        refiner: list[tuple[str, Kind]] = [(request.refiner[0], "model")] if request.refiner else []
        return [*refiner, *adapter_names(request, self._pool.models)]

    def _drawn(
        self, request: Request, prepared: Prepared | None, before: PreviousPicture | None, previews: Previews
    ) -> Generation:
        if prepared is not None and request.strength == 0:
            yield from untouched(request, prepared)
            return None
        model = yield from self._pool.ready_model(request.model)
        for name, kind in self._added(request):
            yield from self._pool.fetch(name, kind)
        yield from load_controlnets(request, self._pool)
        if before is not None:
            assert prepared is not None
            prepared = with_latents(prepared, before, request, self._pool)
        try:
            return (yield from _draw(request)(self._pool, request, prepared, self._latent_cache, previews))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # outside the except block: within it, the error keeps every tensor of the failed try alive
        self._latent_cache.clear()
        self._pool.drop(TEXT_MASK)  # the hole is known by now
        free(self.place)
        can_tile = hasattr(model.vae, "use_tiling")
        yield Note(f"out of memory: trying once more{', decoding in tiles' if can_tile else ''}")
        if can_tile:
            model.vae.enable_tiling()
        try:
            yield from self._again(request, prepared, previews)
        finally:
            if can_tile:
                model.vae.disable_tiling()  # tiles can be seen, and a picture depends on no other
                self._latent_cache.clear()  # nor on what was encoded in them
        return None

    def segment(self, path: str, text: str) -> Generator[EngineEvent, None, None]:
        """See `Engine.look`."""
        picture = open_picture(path)
        yield from self._text_masks.load()
        yield self._text_masks.heat(picture, text)

    def unload(self) -> Generator[EngineEvent, None, None]:
        """See `Engine.free`."""
        before = memory_held(self.place)
        self.close()
        yield Freed(self.place.device_name, before, memory_held(self.place))

    @property
    def state(self) -> str:
        return "ready"

    def interrupt(self) -> None:
        """Nobody waits here in another thread."""

    def kill(self) -> None:
        """Nothing goes on here but what the caller does."""

    @property
    def in_memory(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self._pool.models if self._pool.has(spec.name, spec.kind))

    def set_models(self, models: Registry) -> None:
        """The models that can be named from now on."""
        self._pool.models = models

    def place_of(self, model: str) -> Placement:
        """Where `model` is computed, which is loaded for that if need be."""
        return self._pool.any_model(model).place

    def load(self, model: str) -> None:
        """Make `model` ready now: this engine has no meanwhile."""
        self._pool.any_model(model)

    def close(self) -> None:
        self._prepared.clear()
        self._made.clear()
        self._latent_cache.clear()
        self._text_masks.clear()
        if isinstance(self._compute, Graphs):
            self._compute.clear()
        self._pool.clear()

    def _prepare(self, request: Request, before: PreviousPicture | None) -> Prepared | None:
        if request.init_image is None:
            return None
        key = (
            request.before or _stamp(request.init_path),
            _stamp(request.mask_image),
            request.text_mask,
            (request.width, request.height, request.invert_mask, request.infill),
            0 < request.strength < 1,
            request.seed if request.infill == "noise" else 0,
            (request.outcrop, request.embiggen),
        )
        return self._prepared.get_or_compute(key, lambda: self._prepare_new(request, before))

    def _prepare_new(self, request: Request, before: PreviousPicture | None) -> Prepared:
        picture = before.picture if before else open_picture(request.init_path or "")
        prepared = prepare_init(request, picture, self._text_masks.heat)
        if request.embiggen is not None:
            return enlarged(prepared, request)
        return grow(prepared, request, self._pool.models.find(request.model).multiple) if request.outcrop else prepared

    def _again(self, request: Request, prepared: Prepared | None, previews: Previews) -> Iterator[PipelineEvent]:
        try:
            for event in _draw(request)(self._pool, request, prepared, self._latent_cache, previews):
                if not isinstance(event, Detected | Started | Note):
                    yield event
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise EngineError(
                f"out of memory at {request.width}×{request.height} on {self.place.device_name}",
                code="out_of_memory",
                hint="lower -W and -H, or close what else uses the memory",
            ) from error


def _draw(request: Request) -> Callable[..., Generation]:
    return draw if request.embiggen is None else embiggened


def _lost() -> PreviousPicture:
    raise AssertionError("what was made just now is remembered")


def _stamp(path: str | None) -> tuple[object, ...]:
    """What changes when the file at `path` does."""
    try:
        found = expanded(path).stat() if path else None
    except (OSError, ValueError, RuntimeError):
        return (path,)  # opening it says what is wrong
    return (path, found and (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size))

"""DiffusionEngine: requests in, events out, in this process."""

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import closing
from functools import partial

from invoke.engine import Wish
from invoke.engine.adapters import named, wanted
from invoke.engine.components.devices import Place, choose_place, free, is_out_of_memory, memory_for_models, memory_held
from invoke.engine.components.lru_cache import Remembered
from invoke.engine.img2img.outpainting import grow
from invoke.engine.img2img.prepared import Prepared, prepare_init
from invoke.engine.loading.controlnets import load_controlnets
from invoke.engine.loading.model_pool import Networks
from invoke.engine.pipeline.chains import Made, with_latents
from invoke.engine.pipeline.embiggen import embiggened, enlarged
from invoke.engine.pipeline.latents import Known
from invoke.engine.pipeline.picture import draw, untouched
from invoke.engine.pipeline.text_mask import KIND as TEXT_MASK
from invoke.engine.pipeline.text_mask import TextMasks
from invoke.engine.postprocess.apply import finished, ready
from invoke.engine.postprocess.safety_checker import KIND, NAME, checked
from invoke.engine.sampling.batching import together
from invoke.engine.sampling.cuda_graphs import Graphs, captured
from invoke.engine.sampling.model_call import Compute, Drawing, Happening, eager
from invoke.errors import EngineError, InvokeError
from invoke.events import (
    NO_PREVIEWS,
    Detected,
    Drawn,
    EngineEvent,
    Finished,
    Freed,
    Noted,
    Previews,
    Started,
    Step,
    of_one,
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
        self.place = choose_place(options)
        budget = memory_for_models(options, self.place)
        self._networks = Networks(models, self.place, offline=options.offline, budget=budget)
        self._prepared: Remembered[Prepared] = Remembered(4)
        self._made: Remembered[Made] = Remembered(4)
        self._known = Known()
        self._is_checked = options.safety_checker
        self._text_masks = TextMasks(self._networks)
        is_cuda = self.place.device.type == "cuda"
        self._compute: Compute = Graphs(captured()) if is_cuda and options.graphs else eager

    def generate(self, request: Request, *, previews: Previews = NO_PREVIEWS) -> Generator[EngineEvent, None, None]:
        """See `Engine.generate`. What is wrong with the pictures is said before a model is loaded."""
        return of_one(self.generate_together([(request, previews)]))

    def generate_together(self, wishes: Sequence[Wish]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        """See `Engine.generate_together`."""
        for size, indexes in self._alike([request for request, _ in wishes]):
            drawings = [self._generate(*wishes[index]) for index in indexes]
            with closing(together(drawings, size, self._compute)) as happened:
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
            added = wanted(request, self._networks.models)
        except InvokeError:
            return index  # its drawing says it
        controls = tuple((name, scale) for name, _, scale in request.controls)
        alike = request.model, request.size, request.guidance_scale <= 1, request.reuse, controls, added
        return request.batch_size, alike

    def _generate(self, request: Request, previews: Previews) -> Generator[Happening, None, None]:
        before = yield from self._before(request)
        if self._is_checked:
            yield from self._networks.fetch(NAME, KIND)
        if request.text_mask is not None:
            yield from self._text_masks.load()
        prepared = self._prepare(request, before)
        tools = yield from ready(request, self._networks)
        making = finished(request, tools, self._networks, self._drawn(request, prepared, before, previews))
        yield from self._remembered(request, making)

    def _before(self, request: Request) -> Generator[Happening, None, Made | None]:
        """The picture that a part of a chain starts from: as it was made a moment ago, or made again in silence."""
        if request.before is None:
            return None
        if request.before not in self._made:
            with closing(self._generate(request.before, NO_PREVIEWS)) as events:
                for event in events:
                    if not isinstance(event, Detected | Started | Step | Drawn | Finished):
                        yield event
        return self._made.get(request.before, _lost)

    def _remembered(self, request: Request, making: Drawing) -> Generator[Happening, None, None]:
        """The events of `making`; what it made is kept for the next part of a chain."""
        image, latents, objected = None, None, False
        with closing(making):
            while True:
                try:
                    event = next(making)
                except StopIteration as end:
                    latents = end.value
                    break
                if isinstance(event, Drawn) and self._is_checked:
                    for seen in checked(self._networks, event.picture):
                        yield Drawn(seen) if isinstance(seen, Finished) else seen
                    continue
                if not isinstance(event, Finished):
                    yield event
                    continue
                for seen in checked(self._networks, event) if self._is_checked else (event,):
                    image = seen.image if isinstance(seen, Finished) else image
                    yield seen
                objected = image is not None and image is not event.image
        if image is not None:
            self._made.get(request, partial(Made, image, None if objected else latents))

    def _added(self, request: Request) -> list[tuple[str, Kind]]:
        """What is loaded in the middle of drawing, and must be on this disk by then."""
        refiner: list[tuple[str, Kind]] = [(request.refiner[0], "model")] if request.refiner else []
        return [*refiner, *named(request, self._networks.models)]

    def _drawn(self, request: Request, prepared: Prepared | None, before: Made | None, previews: Previews) -> Drawing:
        if prepared is not None and request.strength == 0:
            yield from untouched(request, prepared)
            return None
        model = yield from self._networks.ready_model(request.model)
        for name, kind in self._added(request):
            yield from self._networks.fetch(name, kind)
        yield from load_controlnets(request, self._networks)
        if before is not None:
            assert prepared is not None
            prepared = with_latents(prepared, before, request, self._networks)
        try:
            return (yield from _draw(request)(self._networks, request, prepared, self._known, previews))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # outside the except block: within it, the error keeps every tensor of the failed try alive
        self._known.clear()
        self._networks.drop(TEXT_MASK)  # the hole is known by now
        free(self.place)
        can_tile = hasattr(model.vae, "use_tiling")
        yield Noted(f"out of memory: trying once more{', decoding in tiles' if can_tile else ''}")
        if can_tile:
            model.vae.enable_tiling()
        try:
            yield from self._again(request, prepared, previews)
        finally:
            if can_tile:
                model.vae.disable_tiling()  # tiles can be seen, and a picture depends on no other
                self._known.clear()  # nor on what was encoded in them
        return None

    def look(self, path: str, text: str) -> Generator[EngineEvent, None, None]:
        """See `Engine.look`."""
        picture = open_picture(path)
        yield from self._text_masks.load()
        yield self._text_masks.heat(picture, text)

    def free(self) -> Generator[EngineEvent, None, None]:
        """See `Engine.free`."""
        before = memory_held(self.place)
        self.close()
        yield Freed(self.place.device_name, before, memory_held(self.place))

    @property
    def state(self) -> str:
        return "ready"

    def kill(self) -> None:
        """Nothing goes on here but what the caller does."""

    @property
    def in_memory(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self._networks.models if self._networks.has(spec.name, spec.kind))

    def know(self, models: Registry) -> None:
        """The models that can be named from now on."""
        self._networks.models = models

    def place_of(self, model: str) -> Place:
        """Where `model` is computed, which is loaded for that if need be."""
        return self._networks.any_model(model).place

    def load(self, model: str) -> None:
        """Make `model` ready now: this engine has no meanwhile."""
        self._networks.any_model(model)

    def close(self) -> None:
        self._prepared.clear()
        self._made.clear()
        self._known.clear()
        self._text_masks.clear()
        if isinstance(self._compute, Graphs):
            self._compute.clear()
        self._networks.clear()

    def _prepare(self, request: Request, before: Made | None) -> Prepared | None:
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
        return self._prepared.get(key, lambda: self._prepare_new(request, before))

    def _prepare_new(self, request: Request, before: Made | None) -> Prepared:
        picture = before.picture if before else open_picture(request.init_path or "")
        prepared = prepare_init(request, picture, self._text_masks.heat)
        if request.embiggen is not None:
            return enlarged(prepared, request)
        return (
            grow(prepared, request, self._networks.models.find(request.model).multiple) if request.outcrop else prepared
        )

    def _again(self, request: Request, prepared: Prepared | None, previews: Previews) -> Iterator[Happening]:
        try:
            for event in _draw(request)(self._networks, request, prepared, self._known, previews):
                if not isinstance(event, Detected | Started | Noted):
                    yield event
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise EngineError(
                f"out of memory at {request.width}×{request.height} on {self.place.device_name}",
                code="out_of_memory",
                hint="lower -W and -H, or close what else uses the memory",
            ) from error


def _draw(request: Request) -> Callable[..., Drawing]:
    return draw if request.embiggen is None else embiggened


def _lost() -> Made:
    raise AssertionError("what was made just now is remembered")


def _stamp(path: str | None) -> tuple[object, ...]:
    """What changes when the file at `path` does."""
    try:
        found = expanded(path).stat() if path else None
    except (OSError, ValueError, RuntimeError):
        return (path,)  # opening it says what is wrong
    return (path, found and (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size))

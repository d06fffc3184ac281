"""DiffusionEngine: requests in, events out, in this process."""

from collections.abc import Generator, Iterator
from pathlib import Path
from time import perf_counter
from typing import Protocol

from invoke.engine.canvas import grow
from invoke.engine.devices import choose_place, free, is_out_of_memory
from invoke.engine.drawing import draw, untouched
from invoke.engine.images import Prepared, prepare_init
from invoke.engine.known import Known
from invoke.engine.loading import Model, load
from invoke.engine.options import EngineOptions
from invoke.engine.remembered import Remembered
from invoke.errors import EngineError
from invoke.events import EngineEvent, Loaded, Loading, Noted, Started
from invoke.models import ModelSpec
from invoke.request import Request


class Models(Protocol):
    """Where models are found by name."""

    def find(self, name: str) -> ModelSpec: ...


class DiffusionEngine:
    """Makes pictures with Stable Diffusion 1 and 2."""

    def __init__(self, models: Models, options: EngineOptions | None = None) -> None:
        self._models = models
        self._options = options or EngineOptions()
        self.place = choose_place(self._options)
        self._loaded: Remembered[Model] = Remembered(2)
        self._prepared: Remembered[Prepared] = Remembered(4)
        self._known = Known()

    def generate(self, request: Request, *, preview_every: int = 0) -> Generator[EngineEvent, None, None]:
        """See `Engine.generate`. What is wrong with the pictures is said before a model is loaded."""
        prepared = self._prepare(request)
        if prepared is not None and request.strength == 0:
            yield from untouched(request, prepared)
            return
        spec = self._models.find(request.model)
        if _key(spec) not in self._loaded:
            yield Loading(spec.name)
            began = perf_counter()
            self._model(spec)
            yield Loaded(spec.name, self.place.device_name, self.place.dtype_name, perf_counter() - began)
        model = self._model(spec)
        try:
            yield from draw(model, request, prepared, self._known, preview_every)
            return
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # outside the except block: within it, the error keeps every tensor of the failed try alive
        self._known.clear()
        free(self.place)
        yield Noted("out of memory: trying once more, decoding in tiles")
        model.vae.enable_tiling()
        try:
            yield from self._again(model, request, prepared, preview_every)
        finally:
            model.vae.disable_tiling()  # tiles can be seen, and a picture depends on no other

    @property
    def state(self) -> str:
        return "ready"

    def kill(self) -> None:
        """Nothing goes on here but what the caller does."""

    def load(self, model: str) -> None:
        """Make `model` ready now: this engine has no meanwhile."""
        self._model(self._models.find(model))

    def close(self) -> None:
        self._loaded.clear()
        self._prepared.clear()
        self._known.clear()
        free(self.place)

    def _model(self, spec: ModelSpec) -> Model:
        return self._loaded.get(_key(spec), lambda: load(spec, self.place, offline=self._options.offline))

    def _prepare(self, request: Request) -> Prepared | None:
        if request.init_image is None:
            return None
        key = (
            _stamp(request.init_image),
            _stamp(request.mask_image),
            (request.width, request.height, request.invert_mask, request.infill),
            0 < request.strength < 1,
            request.seed if request.infill == "noise" else 0,
            request.outcrop,
        )
        return self._prepared.get(key, lambda: self._prepare_new(request))

    def _prepare_new(self, request: Request) -> Prepared:
        prepared = prepare_init(request)
        return grow(prepared, request, self._models.find(request.model).multiple) if request.outcrop else prepared

    def _again(
        self, model: Model, request: Request, prepared: Prepared | None, preview_every: int
    ) -> Iterator[EngineEvent]:
        try:
            for event in draw(model, request, prepared, self._known, preview_every):
                if not isinstance(event, Started | Noted):
                    yield event
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise EngineError(
                f"out of memory at {request.width}×{request.height} on {self.place.device_name}",
                code="out_of_memory",
                hint="lower -W and -H, or close what else uses the memory",
            ) from error


def _key(spec: ModelSpec) -> tuple[str, str]:
    """What tells models apart: two names for the same files are one."""
    return spec.weights, spec.config


def _stamp(path: str | None) -> tuple[object, ...]:
    """What changes when the file at `path` does."""
    try:
        found = Path(path).expanduser().stat() if path else None
    except (OSError, ValueError, RuntimeError):
        return (path,)  # opening it says what is wrong
    return (path, found and (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size))

"""make_picture: makes one picture, stage by stage, from its request to Finished."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, TypeVar

from invoke.engine import Job
from invoke.engine.adapters import adapter_names
from invoke.engine.components.devices import free, is_out_of_memory
from invoke.engine.components.drawn_picture import DrawnPicture
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.img2img.outpainting import grow
from invoke.engine.img2img.prepared import Prepared, prepare_init
from invoke.engine.loading.controlnets import load_controlnets
from invoke.engine.loading.ip_adapters import load_ip_adapters
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.loading.stamps import image_stamp, request_stamp
from invoke.engine.pipeline.chains import PreviousPicture, with_latents
from invoke.engine.pipeline.draw import draw, untouched
from invoke.engine.pipeline.embiggen import embiggened, enlarged
from invoke.engine.pipeline.latents import LatentCache
from invoke.engine.pipeline.step_numbers import offset_steps
from invoke.engine.pipeline.text_mask import KIND as TEXT_MASK
from invoke.engine.pipeline.text_mask import TextMasks
from invoke.engine.postprocess import safety_checker
from invoke.engine.postprocess.apply import extra_steps, load_postprocessors, postprocess
from invoke.engine.sampling.model_call import Generation, change_events
from invoke.errors import EngineError, ModelError
from invoke.events import (
    NO_PREVIEWS,
    Detected,
    EngineEvent,
    Finished,
    Note,
    Postprocessing,
    Previews,
    Started,
    Step,
)
from invoke.images import open_picture
from invoke.models import Kind, Registry
from invoke.models.editors import editor_of
from invoke.request import Request

T = TypeVar("T")

DRAWN_LATER = frozenset(
    {
        *("prompt", "negative_prompt", "steps", "guidance_scale", "guidance_interval", "guidance_rescale", "clip_skip"),
        *("scheduler", "karras", "seed", "variations", "perlin", "threshold", "seamless", "seamless_axes", "controls"),
        *("h_symmetry_time_pct", "v_symmetry_time_pct", "ip_adapters", "freeu", "pag_scale", "hires_fix", "refiner"),
        *("reuse", "batch_size", "init_color", "strength", "more_images", "image_guidance_scale", "mask_blur"),
        *("inpaint_replace", "embiggen_tiles", "facetool_strength", "facetool", "codeformer_fidelity"),
        *("upscale", "upscaler", "upscale_guidance", "model"),
    }
)
"""Fields of a request that preparing its init image does not read (`_prepare` says what it reads of `seed`, `strength`
and `model`). A new field is not among them until it is known to belong here: at worst, something is prepared twice."""


@dataclass(slots=True, eq=False)
class Caches:
    """Results that later pictures may reuse; they never change a picture."""

    text_masks: TextMasks
    prepared: LRUCache[Prepared] = field(default_factory=lambda: LRUCache(4))
    previous: LRUCache[PreviousPicture] = field(default_factory=lambda: LRUCache(4))
    latents: LatentCache = field(default_factory=LatentCache)

    def clear(self) -> None:
        for cache in (self.text_masks, self.prepared, self.previous, self.latents):
            cache.clear()


def make_picture(
    job: Job, pool: ModelPool, caches: Caches, *, check_safety: bool = False
) -> Generation[PreviousPicture]:
    """Yield all events of making the picture of `job`, the last being `Finished`.

    Errors in the input images are raised before a model is loaded. If a postprocessor fails, the drawn picture is
    finished without it before the error is raised. Raises InvokeError. Returns the picture, which the next part of a
    chain may start from.
    """
    request, previews = job
    previous = yield from _previous(request, pool, caches, check_safety)
    if check_safety:
        yield from pool.fetch(safety_checker.NAME, safety_checker.KIND)
    if request.text_mask is not None:
        yield from caches.text_masks.load()
    prepared = _prepare(request, previous, pool, caches)
    stamp = request_stamp(request, pool.models)
    tools = yield from load_postprocessors(request, pool)
    more = extra_steps(request, tools)
    drawn = yield from offset_steps(_drawn(request, prepared, previous, pool, caches, previews), request, after=more)
    total = drawn.info.steps_taken + more
    if check_safety:
        drawn = yield from safety_checker.safety_check(drawn, pool)
    if request != request.unfinished:
        yield Postprocessing(drawn.finished(request.unfinished))
    try:
        done = yield from postprocess(request, tools, pool, drawn, total)
    except EngineError:
        yield drawn.finished(request.unfinished)
        raise
    made = PreviousPicture(done)
    caches.previous.put((request, stamp), made)
    yield done.finished(request)
    return made


def _previous(
    request: Request, pool: ModelPool, caches: Caches, check_safety: bool
) -> Generation[PreviousPicture | None]:
    """The picture that a part of a chain starts from: cached, or made again without reporting its steps."""
    if request.before is None:
        return None
    key = request.before, request_stamp(request.before, pool.models)
    if key not in caches.previous:
        making = make_picture((request.before, NO_PREVIEWS), pool, caches, check_safety=check_safety)
        return (yield from _without(making, Detected, Started, Step, Postprocessing, Finished))
    return caches.previous[key]


def _is_editor(model: str, models: Registry) -> bool:
    """Whether `model` is known to edit by instruction. False if it is not on the list: it may not be needed."""
    try:
        return editor_of(models.find(model)) is not None
    except ModelError:
        return False


def _prepare(request: Request, previous: PreviousPicture | None, pool: ModelPool, caches: Caches) -> Prepared | None:
    """The init image and its mask at the size of the result. Raises PictureError."""
    if request.init_image is None:
        return None
    edits = _is_editor(request.model, pool.models)
    multiple = pool.models.find(request.model).multiple if request.outcrop else 1
    key = (
        tuple(getattr(request, row.name) for row in fields(request) if row.name not in DRAWN_LATER),
        request_stamp(request.before, pool.models) if request.before else image_stamp(request.init_path),
        image_stamp(request.mask_image),
        image_stamp(request.strength_map),
        (request.is_drawn, request.strength == 1),
        request.seed if request.infill == "noise" else 0,
        (edits, multiple),
    )

    def compute() -> Prepared:
        size = request.width, request.height
        image = previous.picture if previous else open_picture(request.init_path or "", enough=size)
        # editing needs the content under the mask, as with any strength between 0 and 1
        wanted = replace(request, strength=0.5) if edits else request
        prepared = prepare_init(wanted, image, caches.text_masks.heat)
        if request.embiggen is not None:
            return enlarged(prepared, request)
        return grow(prepared, request, multiple) if request.outcrop else prepared

    return caches.prepared.get_or_compute(key, compute)


def _drawn(  # noqa: PLR0913, PLR0917 - what a picture is drawn from
    request: Request,
    prepared: Prepared | None,
    previous: PreviousPicture | None,
    pool: ModelPool,
    caches: Caches,
    previews: Previews,
) -> Generation[DrawnPicture]:
    """Load what is needed and draw; if memory runs out, retry once with tiled decoding."""
    if prepared is not None and not request.is_drawn:
        return (yield from untouched(request, prepared))
    model = yield from pool.ready_model(request.model)
    for name, kind in _needed_later(request, pool):
        yield from pool.fetch(name, kind)
    yield from load_controlnets(request, pool)
    yield from load_ip_adapters(request, pool)
    if previous is not None:
        assert prepared is not None
        prepared = with_latents(prepared, previous, request, pool)

    def attempt() -> Generation[DrawnPicture]:
        draw_one = partial(draw, model, pool, latent_cache=caches.latents, previews=previews)
        if request.embiggen is None or prepared is None:
            return draw_one(request, prepared)
        side, multiple = min(model.spec.width, model.spec.height), pool.model(request.model).multiple
        return embiggened(request, prepared, side=side, multiple=multiple, draw=draw_one)

    try:
        return (yield from attempt())
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # outside the except block, where the error keeps every tensor of the failed attempt alive
    caches.latents.clear()
    pool.drop(TEXT_MASK)  # the mask has been computed
    free(pool.place)
    with _in_tiles(model, caches) as advice:
        yield Note(f"out of memory: trying again{advice}")
        try:
            drawn = yield from _without(attempt(), Detected, Started, Note)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise EngineError(
                f"out of memory at {request.width}×{request.height} on {pool.place.device_name}",
                code="out_of_memory",
                hint="lower -W and -H, or close other programs that use the memory",
            ) from error
    return replace(drawn, latents=None)


def _needed_later(request: Request, pool: ModelPool) -> list[tuple[str, Kind]]:
    """Models that are loaded in the middle of drawing and must be downloaded before."""
    refiner: list[tuple[str, Kind]] = [(request.refiner[0], "model")] if request.refiner else []
    return [*refiner, *adapter_names(request, pool.models)]


@contextmanager
def _in_tiles(model: Any, caches: Caches) -> Iterator[str]:
    """Context in which `model` decodes in tiles, if its VAE can; yields the words for the note."""
    can_tile = hasattr(model.vae, "use_tiling")
    if can_tile:
        model.vae.enable_tiling()
    try:
        yield ", decoding in tiles" if can_tile else ""
    finally:
        if can_tile:
            model.vae.disable_tiling()  # tiles can be visible, and later pictures must not depend on this one
            caches.latents.clear()  # for the same reason


def _without(generation: Generation[T], *kinds: type[EngineEvent]) -> Generation[T]:
    return change_events(generation, lambda event: None if isinstance(event, kinds) else event)

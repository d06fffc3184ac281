"""Draws one picture: conditions, denoises, decodes, and pastes the kept parts back."""

from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine.adapters import adapters_of
from invoke.engine.components.drawn_picture import DrawnPicture
from invoke.engine.components.vae import to_pixels
from invoke.engine.conditioning.controlnet import Control, hashes_of
from invoke.engine.conditioning.embeddings import Conditioning
from invoke.engine.conditioning.ip_adapter import hashes_of as reference_hashes
from invoke.engine.conditioning.literal import cut_note
from invoke.engine.families.auto import Auto
from invoke.engine.families.auto_arguments import more_hashes
from invoke.engine.img2img.inpainting import keep_unmasked
from invoke.engine.img2img.mask import OPEN
from invoke.engine.img2img.outpainting import cut
from invoke.engine.img2img.prepared import Prepared, mode_of
from invoke.engine.img2img.strength import Grades, run_of, start_latents
from invoke.engine.loading.controlnets import controls_of
from invoke.engine.loading.ip_adapters import references_of
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.model_protocol import Model
from invoke.engine.pipeline.latents import LatentCache, decode_once
from invoke.engine.pipeline.record import result, run_info_untouched
from invoke.engine.pipeline.refiner import check_refiner, first_refined, refined
from invoke.engine.preview import preview
from invoke.engine.sampling import latent_effects
from invoke.engine.sampling.loop import LoopState, Predict, denoise
from invoke.engine.sampling.model_call import Generation, ModelCall
from invoke.engine.sampling.noise import starting_noise
from invoke.engine.sampling.schedules import Schedule, make_schedule
from invoke.errors import RequestError
from invoke.events import Detected, Note, Previews, Started, Step
from invoke.images import first_pass_size
from invoke.models import ModelSpec
from invoke.models.editors import check_mask, check_pictures, check_strength
from invoke.models.support import reads_literally, unsupported
from invoke.prompts import read_prompt
from invoke.request import Request


def channels(
    model: Model, request: Request, prepared: Prepared | None, latent_cache: LatentCache
) -> torch.Tensor | None:
    """Extra input channels of the UNet: mask and masked picture for inpainting, or the picture to edit."""
    if model.input_channels == model.latent_channels:
        return None
    if prepared is not None and model.edits:
        repaint_mask, picture = torch.ones(1, 1), prepared.encode_source
    elif prepared is None or prepared.repaint_mask is None:
        repaint_mask, picture = torch.ones(request.height, request.width), torch.zeros(request.height, request.width, 3)
    else:
        repaint_mask, picture = (prepared.repaint_mask >= OPEN).float(), prepared.encode_source
    return model.extra_channels(repaint_mask, picture, lambda shown: latent_cache.encode(model, shown))


def draw(  # noqa: PLR0913, PLR0917 - what a picture is drawn from
    model: Model | Auto,
    pool: ModelPool,
    request: Request,
    prepared: Prepared | None,
    latent_cache: LatentCache,
    previews: Previews,
) -> Generation[DrawnPicture]:
    """Yield `Detected* Started Note* Step…`; return the picture. Raises RequestError or EngineError.

    `model` is that of `request`: looking it up asks the disk about each of its files.
    """
    _check_family(request, model.spec)
    _check_edited(request, prepared, model.spec)
    if isinstance(model, Auto):
        began = perf_counter()
        model.use_adapters(adapters_of(request, pool.models))
        pixels, taken = yield from model.draw(request, prepared, previews)
        return result(
            model, request, pixels, prepared=prepared, steps_taken=taken, hashes=more_hashes(request), began=began
        )
    axes = request.seamless_axes if request.seamless else ()
    latent_cache = LatentCache() if axes else latent_cache  # with `--seamless` the VAE encodes differently
    controls = controls_of(request, pool, prepared)
    for number, control in enumerate(controls, start=1):
        if not control.sha256 and previews.every:
            yield Detected(number, to_pixels(torch.from_numpy(np.array(control.picture))))
    wrapped = (model.unet, model.vae, *(control.network for control in controls))
    with latent_effects.seamless(wrapped, axes), latent_effects.freeu(model.unet, is_on=request.freeu):
        return (yield from _draw(model, pool, request, prepared, controls, latent_cache, previews))


def _draw(  # noqa: PLR0913, PLR0917 - what a picture is drawn from
    model: Model,
    pool: ModelPool,
    request: Request,
    prepared: Prepared | None,
    controls: tuple[Control, ...],
    latent_cache: LatentCache,
    previews: Previews,
) -> Generation[DrawnPicture]:
    began = perf_counter()
    adapters = adapters_of(request, pool.models)
    model.use_adapters(adapters)
    _check_size(model, request, prepared)
    run = run_of(request, prepared)
    schedule = _schedule(model, request, max(run.points, 1))
    first = _schedule(model, request, request.steps) if prepared is None and request.hires_fix else None
    before = len(first.timesteps) if first else 0
    total = before + (len(schedule.timesteps) if run.points else 0)
    yield Started(request, mode_of(prepared), total, prepared.painted if prepared else 1.0)

    references = references_of(request, pool)
    conditioning = replace(
        model.condition(request), controls=controls, calls=len(schedule.timesteps), references=references
    )
    yield from (Note(text) for text in _notes(prepared, conditioning, first or schedule))
    if previews.tokens:
        yield from (Note(line) for line in conditioning.tokens)

    noise, generator = starting_noise(request, _latent_shape(model, request, prepared))
    noise = noise.to(model.place.device)
    constrain = latent_effects.between_steps(request, len(schedule.timesteps))
    init = forget = grades = None
    if first is not None:
        small = yield from _first_pass(model, request, first, conditioning, previews, total)
        init = F.interpolate(small, size=noise.shape[-2:], mode="bilinear")
    if prepared is not None and run.uses_init:
        source = prepared.latents
        if source is None:
            source = latent_cache.encode(model, prepared.encode_source)
        init = None if run.from_noise else source
        mask = None
        if prepared.repaint_mask is not None:
            mask = model.cells(prepared.repaint_mask).to(model.place.device)
            forget = mask * request.inpaint_replace
        if prepared.strengths is not None:
            cells = model.cells(prepared.strengths.float() / 255).to(model.place.device)
            grades = Grades(cells, source, noise, forget)
            constrain = grades.hold(schedule, run, request.steps, constrain)
        if mask is not None and model.keeps_outside:
            constrain = keep_unmasked(mask, source, noise, constrain)

    size = prepared.size if prepared else (request.width, request.height)
    predict = model.predict(request, conditioning, size, channels(model, request, prepared, latent_cache))
    if request.refiner is not None:
        predict = _refined(model, pool, request, size, schedule, predict)
    if run.points:
        start = grades.start(schedule, run) if grades else start_latents(noise, schedule, init, forget)
        states = denoise(predict, schedule, start, generator, constrain)
        latents = yield from _walk(model, states, previews, before, total)
    else:  # `--hires_fix` that redraws nothing
        assert init is not None
        latents = init

    hashes = adapters.hashes() | hashes_of(controls) | reference_hashes(references)
    pixels = decode_once(model, latents)
    return result(
        model, request, pixels, prepared=prepared, steps_taken=total, hashes=hashes, began=began, latents=latents
    )


def _walk(
    model: Model, states: Iterator[LoopState | ModelCall], previews: Previews, before: int, total: int
) -> Generation[torch.Tensor]:
    """Yield a Step for each state, with indexes offset by `before`, and every ModelCall; return the last latents."""
    for state in states:
        if isinstance(state, ModelCall):
            yield state
            continue
        latents, index = state.latents, before + state.index
        if before == 0 or state.index > 0:  # the second pass's initial state duplicates the end of the first
            shown = previews.shown(index, total)
            yield Step(index, total, state.timestep, preview(model, state, previews) if shown else None)
    return latents


def _first_pass(  # noqa: PLR0913, PLR0917 - what both passes share
    model: Model, request: Request, schedule: Schedule, conditioning: Conditioning, previews: Previews, total: int
) -> Generation[torch.Tensor]:
    """`--hires_fix`: run text-to-image at about the model's native size; return the latents."""
    own = model.spec.width * model.spec.height
    width, height = first_pass_size(request.width, request.height, own=own, multiple=model.multiple)
    small = replace(request, width=width, height=height)
    noise, generator = starting_noise(small, _latent_shape(model, small, None))
    conditioning = replace(conditioning, calls=len(schedule.timesteps))
    predict = model.predict(small, conditioning, (width, height), channels(model, small, None, LatentCache()))
    start = noise.to(model.place.device) * schedule.noise_scale
    constrain = latent_effects.between_steps(request, len(schedule.timesteps))
    states = denoise(predict, schedule, start, generator, constrain)
    return (yield from _walk(model, states, previews, 0, total))


def _refined(  # noqa: PLR0913, PLR0917 - what both parts share
    model: Model, pool: ModelPool, request: Request, size: tuple[int, int], schedule: Schedule, predict: Predict
) -> Predict:
    """Switch from `predict` to the refiner for the end of `schedule`."""
    assert request.refiner is not None
    name, fraction = request.refiner
    refiner = pool.model(name)
    check_refiner(model, refiner)
    end = refiner.predict(request, refiner.condition(request), size, None)
    return refined(predict, end, first_refined(schedule, fraction))


def untouched(request: Request, prepared: Prepared) -> Generation[DrawnPicture]:
    """Strength 0: return the prepared original unchanged, without a model."""
    yield Started(request, mode_of(prepared), 0, 0.0)
    yield from (Note(text) for text in prepared.notes)
    # a finished picture (`!fix`) keeps its transparency
    alpha = prepared.alpha if request != request.unfinished and not request.outcrop else None
    return DrawnPicture(cut(prepared.original, request), None, run_info_untouched(prepared), alpha)


def _check_family(request: Request, spec: ModelSpec) -> None:
    """Raise RequestError for what the family does not support.

    Planning already checks this, unless the family is unknown until the model is downloaded.
    """
    if fields := unsupported(request, spec):
        raise RequestError(f"{spec.name} does not support {', '.join(fields)}", code="not_taken")
    if reads_literally(spec) and not read_prompt(request.prompt, request.negative_prompt).is_plain:
        raise RequestError(f"{spec.name} takes plain prompts: no weights, blends, swaps or LoRAs", code="not_taken")


def _check_edited(request: Request, prepared: Prepared | None, spec: ModelSpec) -> None:
    """Check the pictures, strength and mask of a model that edits by instruction. Raises RequestError."""
    check_pictures(spec, (prepared is not None) + len(request.more_images))
    if prepared is not None:
        check_strength(spec, request.strength)
        if prepared.repaint_mask is not None:
            check_mask(spec)


def _check_size(model: Model, request: Request, prepared: Prepared | None) -> None:
    width, height = prepared.size if prepared else (request.width, request.height)
    if width % model.multiple or height % model.multiple:
        raise RequestError(
            f"{width}×{height}: the sides of this model's pictures must be multiples of {model.multiple}",
            hint=f"use multiples of {model.multiple} for -W and -H, or set `multiple: {model.multiple}` in its entry",
        )


def _schedule(model: Model, request: Request, taken: int) -> Schedule:
    return make_schedule(
        model.scheduler_config, request.scheduler, steps=request.steps, taken=taken, karras=request.karras
    )


def _latent_shape(model: Model, request: Request, prepared: Prepared | None) -> tuple[int, int, int, int]:
    """The shape of the latents: of the prepared picture, which outpainting may have enlarged, else of the request."""
    width, height = prepared.size if prepared else (request.width, request.height)
    return (1, model.latent_channels, height // model.factor, width // model.factor)


def _notes(prepared: Prepared | None, conditioning: Conditioning, schedule: Schedule) -> Iterator[str]:
    if prepared is not None:
        yield from prepared.notes
    yield from conditioning.notes
    yield from schedule.notes
    if conditioning.cut:
        yield cut_note(conditioning.cut)

"""One picture, from its request to its pixels."""

from collections.abc import Generator, Iterator
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine import colours, effects, holes, images
from invoke.engine.canvas import cut
from invoke.engine.conditioning import Conditioning, texts
from invoke.engine.decoding import decode_whole
from invoke.engine.denoise import Visit, denoise
from invoke.engine.facts import facts_of, facts_of_untouched, mode_of
from invoke.engine.families.stable_diffusion import predict_with
from invoke.engine.images import Prepared
from invoke.engine.inpainting import channels, forgotten, keep_outside
from invoke.engine.known import Known
from invoke.engine.loading import Model
from invoke.engine.noise import starting_noise
from invoke.engine.preview import preview
from invoke.engine.schedulers import Schedule, schedule
from invoke.errors import RequestError
from invoke.events import EngineEvent, Finished, Noted, Started, Step
from invoke.pictures import first_pass_size, open_picture
from invoke.request import Request, steps_left


def draw(
    model: Model, request: Request, prepared: Prepared | None, known: Known, preview_every: int
) -> Iterator[EngineEvent]:
    """Yield `Started Noted* Step… Finished`. Raises RequestError or EngineError."""
    axes = request.seamless_axes if request.seamless else ()
    known = Known() if axes else known  # a network that wraps around encodes otherwise
    with effects.seamless((model.unet, model.vae), axes):
        yield from _draw(model, request, prepared, known, preview_every)


def _draw(
    model: Model, request: Request, prepared: Prepared | None, known: Known, preview_every: int
) -> Iterator[EngineEvent]:
    began = perf_counter()
    _check_size(model, request)
    # without the init picture's influence, the run is text-to-image, whatever `-I` says
    two_passes = prepared is None and request.hires_fix
    from_noise = (prepared is None or request.strength == 1) and not two_passes
    points = request.steps if from_noise else steps_left(request.steps, request.strength)
    plan = _schedule(model, request, max(points, 1))
    first = _schedule(model, request, request.steps) if two_passes else None
    before = len(first.timesteps) if first else 0
    total = before + (len(plan.timesteps) if points else 0)
    yield Started(request, mode_of(prepared), total, prepared.painted if prepared else 1.0)

    conditioning = _conditioning(model, request, known)
    yield from (Noted(text) for text in _notes(prepared, conditioning))

    noise, generator = starting_noise(request, _latent_shape(model, request, prepared))
    noise = noise.to(model.place.device)
    start = noise * plan.noise_scale
    constrain = effects.between_steps(request, len(plan.timesteps))
    if first is not None:
        small = yield from _first_pass(model, request, first, conditioning, preview_every, total)
        enlarged = F.interpolate(small, size=noise.shape[-2:], mode="bilinear")
        start = plan.levels[0].noised(enlarged, noise) if points else enlarged
    if prepared is not None and (not from_noise or prepared.hole is not None):
        init = known.picture(model, prepared.filled)
        if not from_noise:
            start = plan.levels[0].noised(init, noise)
        if prepared.hole is not None:
            mask = holes.cells(prepared.hole, model.factor).to(model.place.device)
            start = forgotten(start, noise, plan.levels[0], mask * request.inpaint_replace)
            if model.unet.config.in_channels == 4:
                constrain = keep_outside(mask, init, noise, constrain)
    predict = predict_with(model.unet, conditioning, request.guidance_scale, channels(model, request, prepared, known))

    latents = start
    if points:  # none where --hires_fix redraws nothing
        visits = denoise(predict, plan, start, generator, constrain)
        latents = yield from _walk(model, visits, preview_every, before, total)

    pixels = decode_whole(model, latents)
    hashes = dict(prepared.hashes) if prepared else {}
    if request.init_color is not None:
        reference = open_picture(request.init_color)
        hashes["init_color"] = reference.sha256
        pixels = torch.from_numpy(colours.match(pixels.numpy(), np.asarray(reference.image)))
    if prepared is not None and prepared.hole is not None:
        assert prepared.base is not None
        pixels = holes.paste(pixels, prepared.base, holes.feather(prepared.hole, request.mask_blur))
    facts = facts_of(model, prepared, steps_taken=total, hashes=hashes, seconds=perf_counter() - began)
    yield Finished(request, images.to_pixels(cut(pixels, request)), facts)


def _walk(
    model: Model, visits: Iterator[Visit], preview_every: int, before: int, total: int
) -> Generator[EngineEvent, None, torch.Tensor]:
    """Yield a Step for each visit, counted on from `before`; return the last latents."""
    for visit in visits:
        latents, index = visit.latents, before + visit.index
        if before == 0 or visit.index > 0:  # the second pass begins where the first one ended
            shown = preview_every > 0 and (index % preview_every == 0 or index == total)
            yield Step(index, total, visit.timestep, preview(model, latents, visit.level) if shown else None)
    return latents


def _first_pass(  # noqa: PLR0913, PLR0917 - what both passes share
    model: Model, request: Request, plan: Schedule, conditioning: Conditioning, preview_every: int, total: int
) -> Generator[EngineEvent, None, torch.Tensor]:
    """`--hires_fix`: text-to-image at about the model's own size; return its latents."""
    own = model.spec.width * model.spec.height
    width, height = first_pass_size(request.width, request.height, own=own, multiple=model.factor)
    small = replace(request, width=width, height=height)
    noise, generator = starting_noise(small, _latent_shape(model, small, None))
    predict = predict_with(model.unet, conditioning, request.guidance_scale, channels(model, small, None, Known()))
    start = noise.to(model.place.device) * plan.noise_scale
    constrain = effects.between_steps(request, len(plan.timesteps))
    visits = denoise(predict, plan, start, generator, constrain)
    return (yield from _walk(model, visits, preview_every, 0, total))


def untouched(request: Request, prepared: Prepared) -> Iterator[EngineEvent]:
    """Strength 0: the prepared original, pixel for pixel, and no model."""
    yield Started(request, mode_of(prepared), 0, 0.0)
    yield from (Noted(text) for text in prepared.notes)
    yield Finished(request, images.to_pixels(cut(prepared.original, request)), facts_of_untouched(prepared))


def _check_size(model: Model, request: Request) -> None:
    if request.width % model.factor or request.height % model.factor:
        raise RequestError(
            f"{request.width}×{request.height}: the sides of this model's pictures are multiples of {model.factor}"
        )


def _schedule(model: Model, request: Request, taken: int) -> Schedule:
    return schedule(model.scheduler_config, request.scheduler, steps=request.steps, taken=taken, karras=request.karras)


def _latent_shape(model: Model, request: Request, prepared: Prepared | None) -> tuple[int, int, int, int]:
    """Of the picture that is prepared, whose canvas may have grown, or of the one that is asked for."""
    height, width = prepared.original.shape[:2] if prepared else (request.height, request.width)
    return (1, model.vae.config.latent_channels, height // model.factor, width // model.factor)


def _conditioning(model: Model, request: Request, known: Known) -> Conditioning:
    prompt, negative = texts(request)
    return Conditioning(known.text(model, prompt), known.text(model, negative) if request.guidance_scale > 1 else None)


def _notes(prepared: Prepared | None, conditioning: Conditioning) -> Iterator[str]:
    if prepared is not None:
        yield from prepared.notes
    if conditioning.cut:
        yield f"the prompt is longer than this model reads; not read: {conditioning.cut}"

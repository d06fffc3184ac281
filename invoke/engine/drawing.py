"""One picture, from its request to its pixels."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine import colours, effects, holes, images
from invoke.engine.conditioning import Conditioning, Encoded, encode, texts
from invoke.engine.denoise import Constrain, Visit, denoise
from invoke.engine.families.stable_diffusion import predict_with
from invoke.engine.images import Prepared
from invoke.engine.loading import Model
from invoke.engine.noise import starting_noise
from invoke.engine.preview import preview
from invoke.engine.remembered import Remembered
from invoke.engine.schedulers import Level, Schedule, schedule
from invoke.errors import EngineError, RequestError
from invoke.events import EngineEvent, Facts, Finished, Noted, Started, Step
from invoke.pictures import first_pass_size, open_picture
from invoke.request import Mode, Request, steps_left

OPEN = 1 / 16
"""A 9-channel UNet knows only open and closed: what is at least so transparent is open."""
GREY = 0.5
"""What a 9-channel UNet is shown where it shall paint."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was computed before and is needed again: texts and init pictures, encoded."""

    texts: Remembered[Encoded] = field(default_factory=lambda: Remembered(64))
    latents: Remembered[torch.Tensor] = field(default_factory=lambda: Remembered(8))

    def clear(self) -> None:
        self.texts.clear()
        self.latents.clear()


def draw(
    model: Model, request: Request, prepared: Prepared | None, known: Known, preview_every: int
) -> Iterator[EngineEvent]:
    """Yield `Started Noted* Step… Finished`. Raises RequestError or EngineError."""
    axes = request.seamless_axes if request.seamless else ()
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

    noise, generator = starting_noise(request, _latent_shape(model, request))
    noise = noise.to(model.place.device)
    start = noise * plan.noise_scale
    constrain = effects.between_steps(request, len(plan.timesteps))
    if first is not None:
        small = yield from _first_pass(model, request, first, conditioning, preview_every, total)
        enlarged = F.interpolate(small, size=noise.shape[-2:], mode="bilinear")
        start = plan.levels[0].noised(enlarged, noise) if points else enlarged
    if prepared is not None and (not from_noise or prepared.hole is not None):
        init = _init_latents(model, prepared.filled, known)
        if not from_noise:
            start = plan.levels[0].noised(init, noise)
        if prepared.hole is not None:
            mask = holes.cells(prepared.hole, model.factor).to(model.place.device)
            start = _forgotten(start, noise, plan, mask * request.inpaint_replace)
            if model.unet.config.in_channels == 4:
                constrain = _keep_outside(mask, init, noise, constrain)
    predict = predict_with(model.unet, conditioning, request.guidance_scale, _channels(model, request, prepared, known))

    latents = start
    if points:  # none where --hires_fix redraws nothing
        visits = denoise(predict, plan, start, generator, constrain)
        latents = yield from _walk(model, visits, preview_every, before, total)

    pixels = images.to_bytes(_decoded(model, latents))
    hashes = dict(prepared.hashes) if prepared else {}
    if request.init_color is not None:
        reference = open_picture(request.init_color)
        hashes["init_color"] = reference.sha256
        pixels = torch.from_numpy(colours.match(pixels.numpy(), np.asarray(reference.image)))
    if prepared is not None and prepared.hole is not None:
        assert prepared.base is not None
        pixels = holes.paste(pixels, prepared.base, holes.feather(prepared.hole, request.mask_blur))
    facts = Facts(
        mode=mode_of(prepared),
        steps_taken=total,
        painted=prepared.painted if prepared else 1.0,
        device=model.place.device_name,
        dtype=model.place.dtype_name,
        versions=versions(),
        hashes=hashes | {"model": model.weights_hash.result()},
        seconds=perf_counter() - began,
    )
    yield Finished(request, images.to_pixels(pixels), facts)


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
    noise, generator = starting_noise(small, _latent_shape(model, small))
    predict = predict_with(model.unet, conditioning, request.guidance_scale, _channels(model, small, None, Known()))
    start = noise.to(model.place.device) * plan.noise_scale
    constrain = effects.between_steps(request, len(plan.timesteps))
    visits = denoise(predict, plan, start, generator, constrain)
    return (yield from _walk(model, visits, preview_every, 0, total))


def untouched(request: Request, prepared: Prepared) -> Iterator[EngineEvent]:
    """Strength 0: the prepared original, pixel for pixel, and no model."""
    yield Started(request, mode_of(prepared), 0, 0.0)
    yield from (Noted(text) for text in prepared.notes)
    facts = Facts(
        mode=mode_of(prepared),
        steps_taken=0,
        painted=0.0,
        device="none",
        dtype="none",
        versions=versions(),
        hashes=prepared.hashes,
    )
    yield Finished(request, images.to_pixels(prepared.original), facts)


def mode_of(prepared: Prepared | None) -> Mode:
    if prepared is None:
        return "txt2img"
    return "img2img" if prepared.hole is None else "inpaint"


@cache
def versions() -> dict[str, str]:
    """What can change a picture's last bits: the libraries that compute it."""
    found = {}
    for name in ("invoke-shell", "torch", "diffusers", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _check_size(model: Model, request: Request) -> None:
    if request.width % model.factor or request.height % model.factor:
        raise RequestError(
            f"{request.width}×{request.height}: the sides of this model's pictures are multiples of {model.factor}"
        )


def _schedule(model: Model, request: Request, taken: int) -> Schedule:
    return schedule(model.scheduler_config, request.scheduler, steps=request.steps, taken=taken, karras=request.karras)


def _latent_shape(model: Model, request: Request) -> tuple[int, int, int, int]:
    factor = model.factor
    return (1, model.vae.config.latent_channels, request.height // factor, request.width // factor)


def _conditioning(model: Model, request: Request, known: Known) -> Conditioning:
    def encoded(text: str) -> Encoded:
        return known.texts.get((model.spec, text), lambda: encode(text, model.tokenizer, model.text_encoder))

    prompt, negative = texts(request)
    return Conditioning(encoded(prompt), encoded(negative) if request.guidance_scale > 1 else None)


def _notes(prepared: Prepared | None, conditioning: Conditioning) -> Iterator[str]:
    if prepared is not None:
        yield from prepared.notes
    if conditioning.cut:
        yield f"the prompt is longer than this model reads; not read: {conditioning.cut}"


def _init_latents(model: Model, picture: torch.Tensor, known: Known) -> torch.Tensor:
    key = (model.spec, picture.shape, sha256(picture.numpy().tobytes()).digest())
    return known.latents.get(key, lambda: images.encode(model.vae, picture))


def _forgotten(start: torch.Tensor, noise: torch.Tensor, plan: Schedule, share: torch.Tensor) -> torch.Tensor:
    """`start`, of which `share` is exchanged for noise alone, as strong as the latents are at that level."""
    return torch.lerp(start, plan.levels[0].scale * noise, share) if share.any() else start


def _keep_outside(mask: torch.Tensor, init: torch.Tensor, noise: torch.Tensor, inside: Constrain) -> Constrain:
    """Outside the hole, latents are the init picture's with as much noise as they should have by now."""

    def constrain(latents: torch.Tensor, level: Level, index: int) -> torch.Tensor:
        return (1 - mask) * level.noised(init, noise) + mask * inside(latents, level, index)

    return constrain


def _channels(model: Model, request: Request, prepared: Prepared | None, known: Known) -> torch.Tensor | None:
    """What a 9-channel UNet sees beside the latents: its mask, and the picture without what is masked."""
    if model.unet.config.in_channels == 4:
        return None
    if prepared is None or prepared.hole is None:
        hole, picture = torch.ones(request.height, request.width), torch.zeros(request.height, request.width, 3)
    else:
        hole, picture = (prepared.hole >= OPEN).float(), prepared.filled
    masked = _init_latents(model, torch.where(hole[..., None] == 1, GREY, picture), known)
    return torch.cat([holes.cells(hole, model.factor).to(model.place.device), masked], dim=1)


def _decoded(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """The decoded picture. Raises EngineError rather than return one that is black from overflow."""
    if not latents.isfinite().all():
        raise _overflow("the denoiser")
    decoded = images.decode(model.vae, latents)
    if not decoded.isfinite().all() and model.vae.dtype != torch.float32:
        # half precision overflows in some VAEs where the UNet does not
        decoded = images.decode(model.vae.float(), latents)
        model.vae.to(model.place.dtype)
    if not decoded.isfinite().all():
        raise _overflow("the decoder")
    return decoded


def _overflow(part: str) -> EngineError:
    return EngineError(
        f"the numbers of {part} overflowed: there is no picture",
        code="overflow",
        hint="lower -C, or use --precision float32",
    )

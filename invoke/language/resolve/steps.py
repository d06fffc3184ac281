"""Steps: the passes of a picture, and how much of the schedule each runs."""

from dataclasses import replace

from invoke.errors import RequestError
from invoke.images import PictureFacts, first_pass_size, map_range
from invoke.language.plan import Planned
from invoke.language.resolve import postprocess
from invoke.language.switches import by_name
from invoke.models import ModelSpec, Registry
from invoke.models.upscaling import tools_of, upscale_steps
from invoke.request import Mode, Request, steps_for
from invoke.text import render_number

LONGEST = 1000
"""Longest schedule: the number of timesteps that models are trained with."""


def planned(request: Request, facts: PictureFacts | None, spec: ModelSpec, models: Registry) -> Planned:
    """Plan the picture of `request`; `facts` describe the init picture. Raises ModelError for an unknown upscaler."""
    upscalers = [models.find(name, "upscaler") for name in tools_of(request)]
    return Planned(request, _mode(request, facts), _passes(request, facts, spec), upscale_steps(request, upscalers))


def with_exact_steps(request: Request, column: int | None) -> Request:
    """Lengthen the schedule so that the requested number of steps remains at this strength. Raises RequestError."""
    steps = steps_for(request.steps, request.strength)
    if steps > LONGEST:
        raise RequestError(
            f"--exact_steps: {request.steps} steps at strength {render_number(request.strength)} "
            f"need a schedule of {steps}; the limit is {LONGEST}",
            code="schedule_too_long",
            column=column,
            hint="raise -f or lower -s",
        )
    return replace(request, steps=steps)


def without_idle_pass(request: Request, facts: PictureFacts | None, spec: ModelSpec) -> Request:
    """Turn off `--hires_fix` if its first pass would not be smaller than the second."""
    if facts is not None:
        return replace(request, hires_fix=False)
    size = request.width, request.height
    if first_pass_size(*size, own=spec.width * spec.height, multiple=spec.multiple) != size:
        return request
    return replace(request, hires_fix=False, strength=by_name()["strength"].default)


def _mode(request: Request, facts: PictureFacts | None) -> Mode:
    if facts is None:
        return "txt2img"
    if request.strength_map is not None and map_range(request.strength_map)[0] == 0:
        return "inpaint"
    is_masked = request.mask_image is not None or request.text_mask is not None or request.outcrop
    return "inpaint" if is_masked or facts.has_hole else "img2img"


def _passes(request: Request, facts: PictureFacts | None, spec: ModelSpec) -> tuple[int, ...]:
    if request.embiggen is not None:
        return (request.points,) * postprocess.drawn_by_embiggen(request, spec)
    return (request.steps, request.points) if facts is None and request.hires_fix else (request.points,)

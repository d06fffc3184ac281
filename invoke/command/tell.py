"""What a line will do, in words: mode, sizes and steps; and what its writer should know."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from invoke.command.plan import Planned
from invoke.models import ModelSpec
from invoke.pictures import PictureFacts, first_pass_size
from invoke.request import Request
from invoke.samplers import SAMPLERS
from invoke.switch_types import render_number
from invoke.switches import Switch, by_name

SEEN = 0.001
"""A smaller transparent share than this is taken for stray pixels."""
FEW_STEPS = 3
MOST_TOLD = 12


def story(planned: Planned, facts: PictureFacts | None, spec: ModelSpec) -> Iterator[str]:
    """`img2img  fire.png 800×600 → 384×384`, `steps 10 × 0.7 → 7 taken`, …"""
    request = planned.request
    size = f"{request.width}×{request.height}"
    if facts is not None:
        yield f"{planned.mode}  {Path(facts.path).name} {facts.width}×{facts.height} → {size}"
    elif request.hires_fix:
        first = first_pass_size(request.width, request.height, own=spec.width * spec.height, multiple=spec.multiple)
        yield f"{planned.mode}  {first[0]}×{first[1]}, then {size}"
    else:
        yield f"{planned.mode}  {size}"
    yield _steps(planned)
    if request.outcrop:
        sides = " ".join(str(part) for part in request.outcrop)
        yield f"outcrop  {size} → {request.size[0]}×{request.size[1]} ({sides})"
    elif planned.mode == "inpaint" and facts is not None:
        yield _hole(request, facts)


def warnings(planned: Planned, facts: PictureFacts | None, spec: ModelSpec) -> Iterator[str]:
    """What may spoil the picture."""
    request = planned.request
    if facts is not None and 0 < facts.transparent < SEEN and request.mask_image is None:
        yield f"{facts.path}: less than 0.1 % of the picture is transparent, which is ignored"
    if request.width * request.height < spec.width * spec.height:
        yield (
            f"{request.width}×{request.height} is below {spec.name}'s own {spec.width}×{spec.height} "
            f"and results suffer: type -W{spec.width} -H{spec.height}"
        )
    if facts is not None and 0 < planned.points <= FEW_STEPS and planned.points < request.steps:
        few = f"only {planned.points} step{'s are' if planned.points > 1 else ' is'} taken"
        yield f"{few}: raise -s, or type --exact_steps"


def without_effect(typed: Mapping[str, Any], given: Mapping[str, Any], planned: Planned) -> Iterator[str]:
    """Each switch that was typed and changes nothing, with the reason."""
    for name, value in typed.items():
        row = by_name()[name]
        if value is not False and (why := _why_without_effect(row, given, planned)) is not None:
            yield f"{f'-{row.short[0]}' if row.short else f'--{row.name}'} has no effect {why}"


def once(lines: Iterator[str]) -> tuple[str, ...]:
    """Each line once, and not more than one wants to read."""
    told = tuple(dict.fromkeys(lines))
    return told if len(told) <= MOST_TOLD else (*told[:MOST_TOLD], f"… and {len(told) - MOST_TOLD} more")


def _why_without_effect(row: Switch, given: Mapping[str, Any], planned: Planned) -> str | None:
    request = planned.request
    if row.needs and planned.mode == "txt2img" and not (row.name == "strength" and request.uses_strength):
        return "without -I"
    if row.needs == "hole" and planned.mode != "inpaint":
        return "without -M or a transparent part of the init picture"
    match row.name:
        case "fit" if not {"width", "height"} & given.keys():
            return "without -W or -H"
        case "karras" if not SAMPLERS[request.scheduler].sigmas:
            return f"with {request.scheduler}"
        case "negative_prompt" if request.guidance_scale <= 1:
            return "without guidance (-C above 1)"
        case "drift" if not given.get("variation_amount"):
            return "without -v"
        case "seamless_axes" if not request.seamless:
            return "without --seamless"
        case "hires_fix" if request.init_image is not None:
            return "with -I"
        case "strip" | "gif" if planned.steps_taken == 0:
            return "at strength 0"
    return None


def _steps(planned: Planned) -> str:
    request = planned.request
    shortened = f"{request.steps} × {render_number(request.strength)}"
    if len(planned.passes) > 1:
        told = f"steps {request.steps} + {shortened} → {sum(planned.passes)} taken"
    elif planned.mode == "txt2img":
        told = f"steps {request.steps}"
    else:
        told = f"steps {shortened} → {planned.points} taken"
    if planned.steps_taken != sum(planned.passes):
        told += f", in {planned.steps_taken} calls of the model ({request.scheduler})"
    return told


def _hole(request: Request, facts: PictureFacts) -> str:
    if request.mask_image is not None:
        repainted = "white" if request.invert_mask else "black"
        return f"inpainting where {Path(request.mask_image).name} is {repainted}"
    if request.invert_mask:
        return f"inpainting {_percent(1 - facts.transparent)} of the picture (its opaque part)"
    return f"inpainting {_percent(facts.transparent)} of the picture (its transparent part)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %"

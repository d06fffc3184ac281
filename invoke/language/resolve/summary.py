"""The summary of a line: mode, size and steps; and warnings for the user."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

from invoke.images import LEAST_HOLE, PictureFacts, describe, first_pass_size, map_range, mask_share
from invoke.language.parse import Draft
from invoke.language.plan import Planned
from invoke.language.render import render_switch
from invoke.language.resolve.steps import LONGEST
from invoke.language.resolve.wildcards import is_wild
from invoke.language.switches import Switch, by_name, in_force
from invoke.models import ModelSpec
from invoke.models.editors import editor_of
from invoke.models.upscaling import tools_of
from invoke.request import Request, steps_for, steps_left
from invoke.samplers import SAMPLERS
from invoke.text import counted, render_number

FEW_STEPS = 3
ENOUGH_STEPS = 40
STRONG = 1.4
"""Fourth-order samplers extrapolate visibly (blobs) with fewer than ENOUGH_STEPS steps and more than STRONG times the
model's usual guidance."""
FEWEST = 8
"""Models with at most this many default steps are distilled."""
MOST_GUIDANCE = 2
"""Highest useful guidance of a model that was distilled without guidance."""
MOST_LINES = 12


def summarise(planned: Planned, facts: PictureFacts | None, spec: ModelSpec) -> Iterator[str]:
    """`img2img  fire.png 800×600 → 384×384`, `steps 10 × 0.7 → 7 taken`, …"""
    request = planned.request
    size, drawn = _size(request.width, request.height), _drawn_size(request, spec)
    mode = "edit" if editor_of(spec) is not None else planned.mode
    if facts is not None:
        yield f"{mode}  {Path(facts.path).name} {facts.width}×{facts.height} → {drawn}"
    else:
        yield f"{planned.mode}  {drawn}"
    if request.more_images:
        yield f"also edits  {', '.join(Path(path).name for path in request.more_images)}"
    yield _steps(planned)
    if request.strength_map is not None:
        low, high = (render_number(round(level / 255, 3)) for level in map_range(request.strength_map))
        yield f"strength  {f'{low} to {high}' if low != high else high} ({Path(request.strength_map).name})"
    for name, image, scale, *window in request.controls:
        between = "".join(f", from {_percent(start)} to {_percent(end)} of the steps" for start, end in window)
        yield f"control  {name} {Path(image).name} × {render_number(scale)}{between}"
    for name, image, scale in request.ip_adapters:
        yield f"IP-Adapter  {PurePath(name).name} {Path(image).name} × {render_number(scale)}"
    if request.refiner is not None:
        yield f"refiner  {PurePath(request.refiner[0]).name} draws the last {_percent(1 - request.refiner[1])}"
    if request.outcrop:
        sides = " ".join(str(part) for part in request.outcrop)
        yield f"outcrop  {size} → {request.size[0]}×{request.size[1]} ({sides})"
    has_hole = request.mask_image or request.text_mask or (facts is not None and facts.has_hole)
    if facts is not None and has_hole and planned.steps_taken:
        yield _hole(request, facts)
    if request.facetool is not None:
        share = render_number(request.facetool_strength)
        yield f"faces  repaired at strength {share} ({PurePath(request.facetool).name})"
    if request.upscale is not None:
        yield _upscale(planned)


def size_and_steps(planned: Planned, spec: ModelSpec) -> tuple[str, str]:
    """In the summary's words, for the toolbar: (`384×384 → 448×384`, `steps 50 × 0.9 → 45 taken`)."""
    request = planned.request
    sizes = _drawn_size(request, spec), _size(*request.size), _size(*request.finished_size)
    changed = [size for before, size in pairwise((_size(request.width, request.height), *sizes[1:])) if size != before]
    return " → ".join([sizes[0], *changed]), _steps(planned)


def passing_back(first: Planned, settings: Mapping[str, Any]) -> Iterator[str]:
    """`variations  the first picture is redrawn 4 times at strength 0.2, 50 × 0.2 → 10 taken each time`."""
    count, amount = in_force("iterations", settings), in_force("variation_amount", settings)
    if amount and first.mode != "txt2img":
        back = "each picture is redrawn" if in_force("drift", settings) else "the first picture is redrawn"
        times, every_time = ("once", "") if count == 1 else (f"{count} times", " each time")
        share, steps = render_number(amount), first.request.steps
        taken = counted(steps_left(steps, amount), "step")
        yield f"variations  {back} {times} at strength {share}, {steps} × {share} → {taken} taken{every_time}"


def drawing(template: Request, drawn: Request, count: int) -> Iterator[str]:
    """`drew  a red fox`: the first picture's prompt, drawn with `--wild`."""
    if drawn.prompt != template.prompt:
        yield f"drew  {drawn.prompt}" + ("; drawn again for each picture" if count > 1 else "")


def warnings(planned: Planned, facts: PictureFacts | None, spec: ModelSpec, *, is_exact: bool) -> Iterator[str]:
    """Warnings about what may spoil the picture; `is_exact`: `--exact_steps` is already in force."""
    request = planned.request
    if facts is not None and 0 < facts.transparent < LEAST_HOLE and request.mask_image is None:
        yield f"{facts.path}: less than 0.1 % of the picture is transparent; this is ignored"
    if facts is not None and facts.has_hole and request.mask_image is not None:
        yield f"{facts.path}: its own transparent part is ignored because of -M"
    if request.mask_image is not None:
        mask = describe(request.mask_image)
        if mask.transparent and not mask.transparency.varies:
            which = "less than 0.1 % of this mask" if mask.transparent < LEAST_HOLE else "all of this mask"
            yield f"{request.mask_image}: {which} is transparent; this is ignored: black is repainted, white is kept"
    if planned.points:
        yield from _fights(request, spec)
    if 0 < planned.points <= FEW_STEPS and not _is_made_for_few(request, spec):
        few = f"only {planned.points} step{'s are' if planned.points > 1 else ' is'} taken"
        yield f"{few}: {_more_steps(request, is_exact=is_exact)}{_if_distilled(spec)}"
    elif _overshoots(planned, spec):
        scale = render_number(request.guidance_scale)
        yield (
            f"{request.scheduler} may overshoot and leave blobs at {planned.points} steps and -C {scale}: "
            f"type -s {ENOUGH_STEPS}, -C {render_number(_usual_guidance(spec))} or -A k_dpmpp_2"
        )


def _fights(request: Request, spec: ModelSpec) -> Iterator[str]:
    """Warnings about steps and guidance that do not suit a distilled model."""
    if not 0 < spec.steps <= FEWEST:
        return
    if not spec.steps / 2 <= request.steps <= 2 * spec.steps:
        why = "more do not improve the picture" if request.steps > spec.steps else "fewer leave the picture unfinished"
        yield f"{spec.name} is made for {counted(spec.steps, 'step')}; {why}: type -s {spec.steps}"
    if spec.guidance_scale == 1 and request.guidance_scale > MOST_GUIDANCE:
        scale = render_number(request.guidance_scale)
        yield f"{spec.name} needs no guidance: -C {scale} burns out the colours and takes twice as long: type -C 1"


def _is_made_for_few(request: Request, spec: ModelSpec) -> bool:
    """Whether the sampler or the model is meant for few steps."""
    is_distilled = spec.timestep_spacing == "trailing" and not spec.zero_snr
    return SAMPLERS[request.scheduler].distilled or 0 < spec.steps <= 2 * FEW_STEPS or is_distilled


def _if_distilled(spec: ModelSpec) -> str:
    """Advice for a single file, which may be a distilled model without saying so."""
    if not spec.weights.endswith(".safetensors") or spec.timestep_spacing:
        return ""
    return f"; if this model is distilled, set timestep_spacing trailing in its entry (!edit_model {spec.name})"


def _overshoots(planned: Planned, spec: ModelSpec) -> bool:
    """Whether a fourth-order multistep sampler extrapolates too far: few steps, strong guidance."""
    request = planned.request
    few = 0 < planned.points < ENOUGH_STEPS
    strong = request.guidance_scale > STRONG * _usual_guidance(spec)
    return SAMPLERS[request.scheduler].fourth_order and few and strong


def _usual_guidance(spec: ModelSpec) -> float:
    return spec.guidance_scale or float(by_name()["cfg_scale"].default)


def without_effect(
    typed: Mapping[str, Any], settings: Mapping[str, Any], planned: Planned
) -> Iterator[tuple[str, str]]:
    """Each typed switch that has no effect, with a sentence that says why."""
    for name, value in typed.items():
        row = by_name()[name]
        why = _why_without_effect(row, settings, planned) if value is not False else None
        if name == "strength" and planned.request.is_graded and value != planned.request.strength:
            why = "with --soft" if planned.request.soft else "with --strength_map"
        if why is not None:
            yield name, f"{f'-{row.short[0]}' if row.short else f'--{row.name}'} has no effect {why}"


def once(lines: Iterator[str]) -> tuple[str, ...]:
    """Each line once, and at most `MOST_LINES`."""
    unique = tuple(dict.fromkeys(lines))
    return unique if len(unique) <= MOST_LINES else (*unique[:MOST_LINES], f"… and {len(unique) - MOST_LINES} more")


def _why_without_effect(  # noqa: PLR0912 - cases, each with its answer
    row: Switch, settings: Mapping[str, Any], planned: Planned
) -> str | None:
    request = planned.request
    if row.needs and planned.mode == "txt2img" and not (row.name == "strength" and request.uses_strength):
        return "without -I"
    if row.needs == "hole" and planned.mode != "inpaint":
        return "without -M, -tm or a transparent part of the init picture"
    match row.name:
        case "text_mask" if request.mask_image is not None:
            return "with -M, which takes precedence"
        case "text_mask" if request.text_mask is None:
            return "if the picture has a transparent part, which takes precedence"
        case "soft" if request.mask_image is None:
            return "without -M"
        case "fit" if not {"width", "height"} & settings.keys():
            return "without -W or -H"
        case "karras" if not SAMPLERS[request.scheduler].sigmas:
            return f"with {request.scheduler}"
        case "negative_prompt" if request.guidance_scale <= 1:
            return "without guidance (-C above 1)"
        case "reuse" if request.controls:
            return "with --control"
        case "reuse" if request.ip_adapters:
            return "with --ip_adapter"
        case "reuse" if request.pag_scale:
            return "with --pag"
        case "cfg_interval" | "cfg_rescale" if request.guidance_scale <= 1:
            return "without guidance (-C above 1)"
        case "image_cfg" if request.guidance_scale <= 1:
            return "without guidance (-C above 1)"
        case "wild" if not (is_wild(request.prompt) or is_wild(request.negative_prompt)):
            return "without {a|b} or __file__ in the prompt"
        case "drift" if not settings.get("variation_amount"):
            return "without -v"
        case "seamless_axes" if not request.seamless:
            return "without --seamless"
        case "hires_fix" if request.init_image is not None:
            return "with -I"
        case "upscale" if request.upscale is None:
            return "at a factor of 1"
        case "upscaler" if request.upscaler is None:
            return "at strength 0" if request.upscale else "without -U"
        case "upscale_guidance" if planned.upscale_steps == 0:
            return "without a diffusion model that upscales (-U)"
        case "facetool" | "codeformer_fidelity" if request.facetool is None:
            return "without -G"
        case "save_original" if request == request.unfinished:
            return "without -U or -G"
        case "embiggen_tiles" | "embiggen_strength" if request.embiggen is None:
            return "without -embiggen"
        case "strip" | "gif" | "log_tokenization" | "control" | "ip_adapter" if planned.steps_taken == 0:
            return "at strength 0"
    return None


def overruled(draft: Draft) -> Iterator[str]:
    """Notes about output switches that a later part of the chain overrides."""
    for part in draft.parts:
        for name, value in part.switches.items():
            row = by_name()[name]
            if row.group == "output" and name != "defaults" and value != draft.chain_switches[name]:
                typed, holds = (
                    " ".join(render_switch(row, setting)) for setting in (value, draft.chain_switches[name])
                )
                yield f"{typed} has no effect: {holds} later in the line applies to the whole chain"


def _more_steps(request: Request, *, is_exact: bool) -> str:
    """What to type for more steps: `-s` or `--exact_steps` if they can help, else `-f`."""
    if not request.uses_strength:
        return "raise -s"
    if steps_left(LONGEST, request.strength) <= FEW_STEPS:
        return "raise -f"
    helps = not is_exact and steps_for(request.steps, request.strength) <= LONGEST
    return "raise -s, or type --exact_steps" if helps else "raise -s"


def _size(width: int, height: int) -> str:
    return f"{width}×{height}"


def _drawn_size(request: Request, spec: ModelSpec) -> str:
    """`384×384`; with `--hires_fix` `256×256, then 384×384`."""
    size = _size(request.width, request.height)
    if not request.hires_fix:
        return size
    first = first_pass_size(request.width, request.height, own=spec.width * spec.height, multiple=spec.multiple)
    return f"{_size(*first)}, then {size}"


def _steps(planned: Planned) -> str:
    request = planned.request
    if planned.steps_taken == 0:
        return "nothing is redrawn (strength 0)"
    shortened = f"{request.steps} × {render_number(request.strength)}"
    if request.embiggen is not None:
        tiles = len(planned.passes)
        text = f"steps {shortened} → {planned.points} taken for each tile, {tiles * planned.points} in all"
    elif len(planned.passes) > 1:
        text = f"steps {request.steps} + {shortened} → {sum(planned.passes)} taken"
    elif planned.mode == "txt2img":
        text = f"steps {request.steps}"
    else:
        text = f"steps {shortened} → {planned.points} taken"
    if planned.steps_taken != sum(planned.passes):
        text += f", in {planned.steps_taken} calls of the model ({request.scheduler})"
    return text


def _hole(request: Request, facts: PictureFacts) -> str:
    if request.mask_image is not None:
        mask = describe(request.mask_image)
        name = Path(mask.path).name
        kinds = ("transparent", "opaque") if mask.transparency.varies else ("black", "white")
        share = mask_share(request.mask_image)
        share = 1 - share if request.invert_mask else share
        return f"inpainting {_percent(share)} of the picture (where {name} is {kinds[request.invert_mask]})"
    if request.text_mask is not None:
        text, threshold = request.text_mask
        shows = "does not show" if request.invert_mask else "shows"
        return f"inpainting where the picture {shows} '{text}' (threshold {render_number(threshold)})"
    kind = "opaque" if request.invert_mask else "transparent"
    share = 1 - facts.transparent if request.invert_mask else facts.transparent
    return f"inpainting {_percent(share)} of the picture (its {kind} part)"


def _upscale(planned: Planned) -> str:
    request = planned.request
    (width, height), (larger, higher) = request.size, request.finished_size
    steps = f", {counted(planned.upscale_steps, 'step')}" if planned.upscale_steps else ""
    tools = ", then ".join(PurePath(name).name for name in tools_of(request))
    return f"upscale  {width}×{height} → {larger}×{higher} ({tools or 'plain scaling'}){steps}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %"

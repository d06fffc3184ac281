"""Reads and writes `parameters`, the recipe text of A1111 and its forks."""

import json
import re
from dataclasses import replace

from invoke.events import RunInfo
from invoke.language.render import render_switch
from invoke.language.switches import by_field
from invoke.outputs.foreign import a1111_prompt
from invoke.outputs.foreign.recipe import Found
from invoke.prompts import read_prompt
from invoke.request import Request
from invoke.samplers import SAMPLERS, find_sampler
from invoke.text import render_number

KEYWORD = "parameters"
PROGRAM = "the web UI of AUTOMATIC1111"
LOST = "Not in A1111"
"""Our own key, for switches that A1111 lacks."""

_VALUE = r'"(?:\\.|[^\\"])*"|(?:\[.*?\]|\{.*?\}|\(.*?\))(?=,|$)|[^,]*'
_PAIR = re.compile(rf"\s*([A-Za-z][\w /-]*):\s*({_VALUE})(?:,|$)")
_SETTINGS = re.compile(r"Steps: ?\d+\s*(?:,|$)")
_NEGATIVE = "Negative prompt:"
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_SCALE = re.compile(r"\d{1,2}(\.\d{1,3})?")
MOST_DIGITS = 9
"""Longer numbers of steps are not read."""
_SECOND_STRENGTH = 0.75
"""Default strength of A1111's second pass."""
_UPSCALER = "Lanczos"
"""Its name for what enlarges a picture between two parts of a chain."""
_UNSAID = frozenset({"version", "hashes", "lora hashes", "ti hashes", "user", "created date"})
"""Keys that do not affect the picture."""
_SCHEDULES = {"": None, "karras": True, "uniform": False, "normal": False}
_SAME = frozenset({"use same sampler", "use same scheduler", "use same choices", "use same checkpoint"})
"""Values of the second pass that mean those of the first."""
_SECOND_PASS = (
    *("width", "height", "steps", "strength", "prompt", "negative_prompt", "scheduler", "karras", "guidance_scale"),
)
"""Fields of a request that may differ in the second pass."""
_RENDERED = {
    *("prompt", "negative_prompt", "steps", "scheduler", "karras", "guidance_scale", "seed", "width", "height"),
    *("model", "init_image", "strength", "batch_size", "variations", "clip_skip", "seamless"),
}
"""Fields of a request that A1111 supports."""


def render(request: Request, run: RunInfo | None = None) -> str:
    """Render `request` in A1111's format. Unsupported switches are listed under `LOST`."""
    first = request.before if _is_second_pass(request) else None
    drawn = first or request
    positive, negative = a1111_prompt.to_theirs(read_prompt(drawn.prompt, drawn.negative_prompt))
    lost = [*positive.left_out, *negative.left_out, *_lost(request)]
    pairs: dict[str, str] = {
        "Steps": str(drawn.steps),
        "Sampler": SAMPLERS[drawn.scheduler].a1111,
        "Schedule type": _schedule(drawn),
        "CFG scale": render_number(drawn.guidance_scale),
        "Seed": str(request.seed),
        "Size": f"{drawn.size[0]}x{drawn.size[1]}",
        "Model hash": _model_hash(run),
        "Model": request.model,
        "Clip skip": str(request.clip_skip + 1) if request.clip_skip else "",
        "Tiling": "True" if request.seamless else "",
    }
    if len(request.variations) == 1:
        seed, weight = request.variations[0]
        pairs |= {"Variation seed": str(seed), "Variation seed strength": render_number(weight)}
    if request.uses_strength:
        pairs["Denoising strength"] = render_number(request.strength)
    if first is not None:
        pairs["Hires resize"] = f"{request.size[0]}x{request.size[1]}"
        pairs["Hires steps"] = str(request.points)
        pairs["Hires upscaler"] = _UPSCALER
        pairs |= _changes(first, request, lost)
    elif request.before is not None:
        lost.append("|> (the part before)")
    pairs |= {LOST: " ".join(lost), "Version": _version(run)}
    settings = ", ".join(f"{name}: {_quoted(value)}" for name, value in pairs.items() if value)
    kept_out = [f"{_NEGATIVE} {negative.text}"] if negative.text else []
    escape = "\\" if positive.text.startswith(_NEGATIVE) else ""
    return "\n".join([escape + positive.text, *kept_out, settings])


def _is_second_pass(request: Request) -> bool:
    """Whether `request` draws the picture of the part before it again, larger, as `Hires. fix` does."""
    first = request.before
    if first is None or first.init_image is not None or not request.strength:
        return False
    changed = {name: getattr(first, name) for name in _SECOND_PASS}
    return replace(request, init_image=None, **changed) == first


def _changes(first: Request, second: Request, lost: list[str]) -> dict[str, str]:
    """What the second pass has other than the first, in their words."""
    positive, negative = a1111_prompt.to_theirs(read_prompt(second.prompt, second.negative_prompt))
    pairs: dict[str, str] = {}
    if (first.prompt, first.negative_prompt) != (second.prompt, second.negative_prompt):
        lost += [*positive.left_out, *negative.left_out]
        pairs |= {"Hires prompt": positive.text, "Hires negative prompt": negative.text}
    if (first.scheduler, first.karras) != (second.scheduler, second.karras):
        pairs |= {
            "Hires sampler": SAMPLERS[second.scheduler].a1111,
            "Hires schedule type": _schedule(second) or "Automatic",
        }
    if first.guidance_scale != second.guidance_scale:
        pairs["Hires CFG Scale"] = render_number(second.guidance_scale)
    return pairs


def _schedule(request: Request) -> str:
    if request.karras:
        return "Karras"
    return "Uniform" if SAMPLERS[request.scheduler].sigmas else ""


def _model_hash(run: RunInfo | None) -> str:
    """The first ten hex digits of the weights' SHA-256."""
    return run.hashes.get("model", "")[:10] if run is not None else ""


def _version(run: RunInfo | None) -> str:
    version = run.versions.get("invoke-shell", "") if run is not None else ""
    return f"invoke-shell {version}".strip()


def _lost(request: Request) -> list[str]:
    """The switches that A1111 does not support."""
    words: list[str] = []
    for name, row in by_field().items():
        value = getattr(request, name)
        is_rendered = name in _RENDERED or (name == "variations" and len(value) == 1)
        needless = (row.needs and request.init_image is None) or isinstance(value, Request)
        if is_rendered and not (name == "variations" and len(value) > 1):
            continue
        if value not in (row.default, None) and not needless:
            words += [word for occurrence in row.occurrences(value) for word in render_switch(row, occurrence)]
    return words


def read(text: str) -> Found | None:
    """Read `text`; None if it is not in this format."""
    lines = text.strip().split("\n")
    place = _settings_line(lines)
    if place is None:
        return None
    pairs = {match[1].strip().lower(): _unquoted(match[2].strip()) for match in _PAIR.finditer(lines[place])}
    before = lines[:place]
    start = next((at for at, line in enumerate(before) if line.startswith(_NEGATIVE)), len(before))
    found = Found(PROGRAM)
    steps = int(pairs["steps"]) if pairs["steps"].isdecimal() and len(pairs["steps"]) < MOST_DIGITS else 0
    positive = a1111_prompt.to_ours("\n".join(before[:start]), steps)
    negative = a1111_prompt.to_ours("\n".join(before[start:]).removeprefix(_NEGATIVE), steps)
    found.prompt, found.negative_prompt = positive.text, negative.text
    found.left_out += [*positive.left_out, *negative.left_out]
    found.settings = _settings(pairs, found)
    found.lose_rest(pairs, _UNSAID)
    for line in lines[place + 1 :]:  # `Template: …` and other lines of extensions
        name, colon, value = line.partition(":")
        found.lose(name.lower() if colon else line, value.strip())
    return found


def _settings_line(lines: list[str]) -> int | None:
    """The index of the settings line: usually the last, but extensions write lines after it."""
    begun = [at for at, line in enumerate(lines) if _SETTINGS.match(line.strip())]
    full = [at for at, line in enumerate(lines) if {"steps", "seed"} <= {m[1].lower() for m in _PAIR.finditer(line)}]
    both = [at for at in begun if at in full]
    places = both or full or begun
    return places[-1] if places else None


def _settings(pairs: dict[str, str], found: Found) -> dict[str, object]:
    """Take everything for which we have switches out of `pairs`."""
    width, _, height = pairs.pop("size", "").partition("x")
    settings: dict[str, object] = {
        "steps": pairs.pop("steps"),
        "cfg_scale": pairs.pop("cfg scale", ""),
        "seed": pairs.pop("seed", ""),
        "width": width,
        "height": height,
        "sampler": pairs.pop("sampler", ""),
    }
    settings["karras"] = _karras(settings["sampler"], pairs.pop("schedule type", ""), found)
    settings["seamless"] = pairs.get("tiling") == "True" and bool(pairs.pop("tiling"))
    settings["cfg_rescale"] = pairs.pop("cfg rescale phi", "")
    seed, weight = pairs.get("variation seed"), pairs.get("variation seed strength", "")
    if seed and weight.strip("0."):
        settings["with_variations"] = f"{pairs.pop('variation seed')}:{pairs.pop('variation seed strength')}"
    settings |= clip_skip(pairs.pop("clip skip", ""), pairs.get("model", ""), found)
    if larger := _second_pass(pairs, width, height):
        # theirs takes all of its steps, whatever the strength
        found.second = dict(zip(("width", "height"), larger, strict=True)) | {"exact_steps": True}
        found.second["strength"] = pairs.pop("denoising strength", _SECOND_STRENGTH)
        if (steps := pairs.pop("hires steps", "0")) != "0":
            found.second["steps"] = steps
        if pairs.get("hires upscaler") == _UPSCALER:
            del pairs["hires upscaler"]
        found.second |= _changed(pairs, settings, found)
    elif "denoising strength" in pairs and not any(name.startswith("hires ") for name in pairs):
        settings["strength"] = pairs.pop("denoising strength")
        found.lose("the init picture", "(name it with -I)")
    return settings


def clip_skip(theirs: str, model: str, found: Found, *, usual: int = 1) -> dict[str, object]:
    """Convert their clip skip, which counts layers from the end (`usual` skips none), to ours.

    A1111 applies it only to Stable Diffusion 1 and 2; whether `model` is XL can only be guessed from its name.
    """
    if not theirs.isdecimal() or "xl" in model.lower():
        found.lose_rest({"clip skip": theirs})
        return {}
    return {"clip_skip": max(0, int(theirs) - usual)}


def _changed(pairs: dict[str, str], first: dict[str, object], found: Found) -> dict[str, object]:
    """Take what the second pass has other than the `first` out of `pairs`, besides its size, strength and steps."""
    changed: dict[str, object] = {}
    for name in [name for name, value in pairs.items() if name.startswith("hires ") and value.lower() in _SAME]:
        del pairs[name]
    steps = str(found.second.get("steps", first["steps"]))
    for name in ("prompt", "negative_prompt"):
        if text := pairs.pop(f"hires {name.replace('_', ' ')}", ""):
            translation = a1111_prompt.to_ours(
                text, int(steps) if steps.isdecimal() and len(steps) < MOST_DIGITS else 0
            )
            changed[name] = translation.text
            found.left_out += translation.left_out
    if "hires sampler" in pairs or "hires schedule type" in pairs:
        changed["sampler"] = pairs.pop("hires sampler", first["sampler"])
        changed["karras"] = _karras(changed["sampler"], pairs.pop("hires schedule type", ""), found)
    if "hires cfg scale" in pairs:
        changed["cfg_scale"] = pairs.pop("hires cfg scale")
    return changed


def _second_pass(pairs: dict[str, str], width: str, height: str) -> tuple[str, str] | None:
    """The final size with `Hires. fix`, taken out of `pairs`; None without it."""
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        return None
    resized = _SIZE.fullmatch(pairs.get("hires resize", ""))
    scale = pairs.get("hires upscale", "")
    if resized and any(map(int, resized.groups())):
        pairs.pop("hires upscale", None)
        del pairs["hires resize"]
        across, down = map(int, resized.groups())  # 0 follows from the picture's shape
        across, down = across or down * int(width) // int(height), down or across * int(height) // int(width)
    elif _SCALE.fullmatch(scale):
        del pairs["hires upscale"]
        across, down = (int(int(side) * float(scale)) for side in (width, height))
    else:
        return None
    return str(across // 8 * 8), str(down // 8 * 8)


def _karras(sampler: object, kind: str, found: Found) -> bool:
    """Whether the schedule type `kind` is Karras for `sampler`; note one that is not supported."""
    ours = find_sampler(str(sampler))
    if kind.lower() == "automatic":
        kind = SAMPLERS[ours.name].a1111_automatic if ours is not None else ""
    if kind.lower() not in _SCHEDULES:
        found.lose("schedule type", kind)
    return kind.lower() == "karras"


def _quoted(value: str) -> str:
    plain = not any(letter in value for letter in ',:\n"[{')
    return value if plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value.strip('"')
    return value

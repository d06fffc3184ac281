"""Reads recipes of programs with a flat list of settings: NovelAI, SwarmUI, Fooocus, Easy Diffusion, Draw Things."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

from invoke.outputs.foreign import a1111_prompt
from invoke.outputs.foreign.a1111 import clip_skip
from invoke.outputs.foreign.recipe import Found, as_list, as_object, as_text

_NOVELAI_STEP = 1.05
_CURLY = re.compile(r"\{([^{}]*)\}")
_SQUARE = re.compile(r"\[([^\[\]]*)\]")
_SPAN = re.compile(r"(-?(?:\d+\.?\d*|\.\d+))::(.*?)(?:::|$)", re.DOTALL)


def _found(program: str, data: dict[str, Any], names: Mapping[str, str]) -> Found:
    """Move the known settings out of `data`. `names`: their name → our long name."""
    found = Found(program)
    for foreign_name, name in names.items():
        if (value := data.pop(foreign_name, None)) is not None and name not in found.settings:
            found.settings[name] = value
    return found


def _take_texts(found: Found, positive: object, negative: object) -> None:
    """Convert both prompts from A1111's syntax."""
    steps = found.settings.get("steps")
    for name, text in (("prompt", positive), ("negative_prompt", negative)):
        translation = a1111_prompt.to_ours(as_text(text), steps if isinstance(steps, int) else 0)
        setattr(found, name, translation.text)
        found.left_out += translation.left_out


def _take_schedule(found: Found, name: object) -> None:
    found.settings["karras"] = name == "karras"
    if name not in (None, "", "normal", "native", "karras", "automatic"):
        found.lose("scheduler", name)


def _take_strength(found: Found, value: object) -> None:
    if value not in (None, ""):
        found.settings["strength"] = value
        found.lose("the init picture", "(name it with -I)")


# NovelAI


def novelai(texts: Mapping[str, str]) -> Found | None:
    """Read `Comment` of a PNG whose `Software` is NovelAI."""
    if not texts.get("Software", "").startswith("NovelAI"):
        return None
    data = as_object(texts.get("Comment", ""))
    names = {"steps": "steps", "scale": "cfg_scale", "seed": "seed", "width": "width", "height": "height"}
    found = _found("NovelAI", data, names | {"sampler": "sampler"})
    if not data and not found.settings:
        return found.refuse("it has no settings")
    _take_schedule(found, data.pop("noise_schedule", None))
    _take_strength(found, data.pop("strength", None) if data.get("request_type") != "PromptGenerateRequest" else None)
    positive = _caption(data.pop("v4_prompt", None), found) or as_text(data.pop("prompt", ""))
    negative = _caption(data.pop("v4_negative_prompt", None), found) or as_text(data.pop("uc", ""))
    _take_texts(found, _from_novelai(positive or texts.get("Description", "")), _from_novelai(negative))
    if data.get("n_samples") == 1:
        del data["n_samples"]
    found.lose_rest({name: value for name, value in data.items() if name in _NOVELAI_SAID})
    if source := texts.get("Source"):
        found.lose("model", source)
    return found


def _caption(data: object, found: Found) -> str:
    """The text for the whole picture in a prompt of NovelAI 4; texts for single characters are left out."""
    caption = data.get("caption") if isinstance(data, dict) else None
    if not isinstance(caption, dict):
        return ""
    for character in as_list(caption.get("char_captions")):
        if isinstance(character, dict) and (text := as_text(character.get("char_caption"))):
            found.lose("character", text)
    return as_text(caption.get("base_caption"))


_NOVELAI_SAID = ("cfg_rescale", "noise", "sm", "sm_dyn", "n_samples", "reference_strength", "uncond_scale")
"""Those of its many settings that affect the picture."""


def _from_novelai(text: str) -> str:
    """Convert NovelAI's syntax: `{x}` is 1.05, `[x]` its inverse, `1.2::x::` a weight; round brackets are text."""
    text = re.sub(r"[()]", lambda match: f"\\{match[0]}", text)
    text = _SPAN.sub(lambda match: f"({match[2]}:{match[1]})", text)
    before = None
    while before != text:
        before = text
        text = _CURLY.sub(rf"(\1:{_NOVELAI_STEP})", text)
        text = _SQUARE.sub(rf"(\1:{1 / _NOVELAI_STEP!r})", text)
    return text


# SwarmUI


def swarmui(text: str) -> Found | None:
    """Read `parameters` that contain `sui_image_params`."""
    data = as_object(text).get("sui_image_params")
    if not isinstance(data, dict):
        return None
    names = {"steps": "steps", "cfgscale": "cfg_scale", "seed": "seed", "width": "width", "height": "height"}
    found = _found("SwarmUI", data, names | {"sampler": "sampler", "comfyuisampler": "sampler"})
    _take_schedule(found, data.pop("scheduler", data.pop("comfyuischeduler", None)))
    if "initimage" in data or "initimagecreativity" in data:
        data.pop("initimage", None)
        _take_strength(found, data.pop("initimagecreativity", 0.6))
    layer = str(data.pop("clipstopatlayer", "")).removeprefix("-")
    found.settings |= clip_skip(layer, as_text(data.get("model")), found)
    seed, weight = data.pop("variationseed", None), data.pop("variationseedstrength", None)
    if seed is not None and weight:
        found.settings["with_variations"] = f"{seed}:{weight}"
    loras = zip(as_list(data.pop("loras", [])), as_list(data.pop("loraweights", [])), strict=False)
    networks = "".join(f" <lora:{str(name).rpartition('/')[2]}:{weight}>" for name, weight in loras)
    prompt = _for_the_whole(as_text(data.pop("prompt", "")), found)
    _take_texts(found, prompt + networks, _for_the_whole(as_text(data.pop("negativeprompt", "")), found))
    found.lose_rest(data, frozenset({"swarm_version", "date", "generation_time", "aspectratio", "images"}))
    return found


_SECTION = re.compile(
    r"<(?:refiner|video|videoswap|segment|object|region|clear|extend)(?:\[[^\[\]<>]*\])?(?::[^<>]*)?>"
)
"""Begins a text that counts for a part of the picture or of its making, up to the next one."""


def _for_the_whole(text: str, found: Found) -> str:
    """What of SwarmUI's prompt counts for the whole picture."""
    starts = [match.start() for match in _SECTION.finditer(text)]
    for start, end in zip(starts, [*starts[1:], None], strict=False):
        found.lose(text[start:end])
    text = text[: starts[0]] if starts else text
    return text.replace("<base>", " ").replace("<break>", " BREAK ")


# Fooocus


def fooocus(text: str) -> Found | None:
    """Read `parameters` as JSON, in Fooocus' own scheme."""
    data = {str(name).lower().replace(" ", "_"): value for name, value in as_object(text).items()}
    if "base_model" not in data or "prompt" not in data:
        return None
    names = {"steps": "steps", "guidance_scale": "cfg_scale", "seed": "seed", "width": "width", "height": "height"}
    found = _found("Fooocus", data, names | {"sampler": "sampler"})
    if sides := re.findall(r"\d+", str(data.pop("resolution", ""))):
        found.settings |= dict(zip(("width", "height"), sides, strict=False))
    _take_schedule(found, data.pop("scheduler", None))
    found.settings |= clip_skip(str(data.pop("clip_skip", "")), "", found, usual=2)
    networks = [lora for lora in as_list(data.pop("loras", [])) if isinstance(lora, list) and len(lora) >= 2]
    added = "".join(f" <lora:{str(name).removesuffix('.safetensors')}:{weight}>" for name, weight, *_ in networks)
    _take_texts(found, as_text(data.pop("prompt", "")) + added, data.pop("negative_prompt", ""))
    found.lose_rest(
        data, frozenset({"version", "metadata_scheme", "created_by", "full_prompt", "full_negative_prompt"})
    )
    return found


# Easy Diffusion

_EASY_NAMES = {
    "num_inference_steps": "steps",
    "steps": "steps",
    "guidance_scale": "cfg_scale",
    "seed": "seed",
    "width": "width",
    "height": "height",
    "sampler_name": "sampler",
    "sampler": "sampler",
}
_EASY_UNSAID = frozenset({"created_by", "output_format", "output_quality", "output_lossless", "session_id"})


def easy_diffusion(data: Mapping[str, object]) -> Found | None:
    """Read one text per setting, or all settings in one JSON object; names are labels or identifiers."""
    data = {str(name).lower().replace(" ", "_"): value for name, value in data.items()}
    marks = {"use_stable_diffusion_model", "stable_diffusion_model"}
    if "prompt" not in data or not marks & data.keys():
        return None
    found = _found("Easy Diffusion", data, _EASY_NAMES)
    if any(data.pop(name, None) for name in ("init_image", "initial_image")) or "prompt_strength" in data:
        _take_strength(found, data.pop("prompt_strength", 0.8))
    if data.pop("clip_skip", None) in (True, "True", "true"):
        found.settings["clip_skip"] = 1
    names, weights = (_several(data.pop(name, None)) for name in ("use_lora_model", "lora_alpha"))
    added = "".join(f" <lora:{name}:{weight}>" for name, weight in zip(names, weights, strict=False))
    _take_texts(found, as_text(data.pop("prompt", "")) + added, data.pop("negative_prompt", ""))
    found.lose_rest(data, _EASY_UNSAID)
    return found


# Draw Things

_XMP_COMMENT = re.compile(r"<exif:UserComment\b[^>]*>(.*?)</exif:UserComment>", re.DOTALL)
_DRAW_THINGS_UNSAID = frozenset({"v2", "profile", "seed_mode", "target_size", "original_size"})


def draw_things(xmp: str) -> Found | None:
    """Read the JSON in the XMP of Draw Things, in which `c` is the prompt and `uc` the negative prompt."""
    comment = _XMP_COMMENT.search(xmp)
    data = as_object(unescape(re.sub(r"<[^<>]*>", "", comment[1])).strip()) if comment else {}
    if "c" not in data or "uc" not in data:
        return None
    found = _found("Draw Things", data, {name: name for name in ("steps", "seed", "sampler")} | {"scale": "cfg_scale"})
    width, _, height = str(data.pop("size", "")).partition("x")
    found.settings |= {"width": width, "height": height}
    if (strength := data.pop("strength", 1)) != 1:
        _take_strength(found, strength)
    loras = [lora for lora in as_list(data.pop("lora", [])) if isinstance(lora, dict)]
    names = (re.sub(r"\.(ckpt|safetensors)$", "", str(lora.get("model"))) for lora in loras)
    added = "".join(f" <lora:{name}:{lora.get('weight', 1)}>" for name, lora in zip(names, loras, strict=True))
    _take_texts(found, as_text(data.pop("c")) + added, data.pop("uc"))
    found.lose_rest(data, _DRAW_THINGS_UNSAID)
    return found


def _several(value: object) -> list[object]:
    """A list, or the one value that stands for one; "None" and "" stand for none."""
    return value if isinstance(value, list) else [] if value in (None, "", "None") else [value]

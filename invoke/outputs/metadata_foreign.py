"""How pictures of other programs, and of our ancestors, were made: as a line, as well as it can be told.

Only what makes a picture is taken over, each value checked as if typed and left out when it is wrong. Paths,
folders and models that a file names are no concern of ours.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from invoke.language.render import render_prompt, render_switch
from invoke.language.switches import by_name
from invoke.request import Request
from invoke.samplers import SAMPLERS
from invoke.text import clean, render_number

LARGEST_TEXT = 65536
"""Letters of one text that are looked at."""

_MODEL_COMMENT = re.compile(r"\s+# model_id=.*\Z", re.DOTALL)
_SAID = ("seed", "steps", "cfg_scale", "width", "height", "sampler", "karras", "negative_prompt")
_NEW_NAMES = {
    "euler": "k_euler",
    "euler_a": "k_euler_a",
    "heun": "k_heun",
    "lms": "k_lms",
    "kdpm_2": "k_dpm_2",
    "kdpm_2_a": "k_dpm_2_a",
    "dpmpp_2m": "k_dpmpp_2",
    "dpmpp_2m_sde": "k_dpmpp_2_a",
    "dpmpp_sde": "k_dpmpp_sde",
}


def line(texts: Mapping[str, str]) -> str:
    """The line that the chunks of a PNG speak of; "" when there is none."""
    known = {name: text for name, text in texts.items() if len(text) <= LARGEST_TEXT}
    if "Dream" in known:
        return one_line(_MODEL_COMMENT.sub("", known["Dream"]))
    readers = {"sd-metadata": _invokeai_2, "invokeai_metadata": _invokeai_3, KEYWORD: parse}
    for keyword, read in readers.items():
        said = read(known[keyword]) if keyword in known else {}
        if said:
            return _rendered(said)
    return ""


def one_line(text: str) -> str:
    """`text` without line breaks and control characters."""
    return clean(" ".join(text.split()))


def _rendered(said: Mapping[str, object]) -> str:
    words = [render_prompt(one_line(str(said.get("prompt", ""))))]
    for name in _SAID:
        row, value = by_name()[name], said.get(name)
        if value is None or value == "" or value is False:
            continue
        try:
            typed = True if row.is_flag else row.type.parse((one_line(str(value)),))
        except ValueError:
            continue
        if name != "seed" or typed >= 0:
            words += render_switch(row, typed)
    return " ".join(words)


def _invokeai_2(text: str) -> dict[str, object]:
    """`sd-metadata` of InvokeAI 2: one picture, or the first of a grid."""
    data = _object(text)
    image = data.get("image") or next(iter(_list(data.get("images"))), None)
    if not isinstance(image, dict):
        return {}
    return image | {"prompt": _weighted(image.get("prompt")), "negative_prompt": None, "karras": False}


def _weighted(prompt: object) -> str:
    parts = [part for part in _list(prompt) if isinstance(part, dict)]
    if not parts:
        return prompt if isinstance(prompt, str) else ""
    if len(parts) == 1:
        return str(parts[0].get("prompt", ""))
    return " ".join(f"{part.get('prompt', '')}:{part.get('weight', 1)}" for part in parts)


def _invokeai_3(text: str) -> dict[str, object]:
    """`invokeai_metadata` of InvokeAI 3 and later."""
    data = _object(text)
    name = str(data.get("scheduler", ""))
    plain = name.removesuffix("_k")
    sampler = _NEW_NAMES.get(plain, plain)
    known = {"sampler": sampler, "karras": plain != name} if sampler in SAMPLERS else {}
    if not {"positive_prompt", "seed", "steps"} & data.keys():
        return {}
    return data | {"prompt": data.get("positive_prompt", ""), "sampler": None, "karras": None} | known


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


KEYWORD = "parameters"

_THEIRS = {
    "ddim": "DDIM",
    "plms": "PLMS",
    "pndm": "PLMS",
    "k_lms": "LMS",
    "k_euler": "Euler",
    "k_euler_a": "Euler a",
    "k_heun": "Heun",
    "k_dpm_2": "DPM2",
    "k_dpm_2_a": "DPM2 a",
    "k_dpmpp_2": "DPM++ 2M",
    "k_dpmpp_2_a": "DPM++ 2M SDE",
    "k_dpmpp_sde": "DPM++ SDE",
    "unipc": "UniPC",
    "deis": "DEIS",
    "ddpm": "DDPM",
    "lcm": "LCM",
}
_OURS = {theirs.lower(): ours for ours, theirs in reversed(_THEIRS.items())}
_PAIR = re.compile(r'\s*([A-Za-z][\w /-]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_NEGATIVE = "Negative prompt:"


def render(request: Request) -> str:
    """`request` in the form of A1111, as far as that has words for it."""
    sampler = _THEIRS.get(request.scheduler, request.scheduler) + (" Karras" if request.karras else "")
    pairs: dict[str, str] = {
        "Steps": str(request.steps),
        "Sampler": sampler,
        "CFG scale": render_number(request.guidance_scale),
        "Seed": str(request.seed),
        "Size": f"{request.width}x{request.height}",
        "Model": request.model,
    }
    if request.init_image is not None:
        pairs["Denoising strength"] = render_number(request.strength)
    settings = ", ".join(f"{name}: {_quoted(value)}" for name, value in pairs.items())
    negative = [f"{_NEGATIVE} {request.negative_prompt}"] if request.negative_prompt else []
    return "\n".join([request.prompt, *negative, settings])


def parse(text: str) -> dict[str, object]:
    """What `text` says under our long switch names, unchecked; {} when it is no such text."""
    *lines, settings = text.strip().split("\n")
    found = {match[1].lower(): _unquoted(match[2].strip()) for match in _PAIR.finditer(settings)}
    if "steps" not in found:
        return {}
    start = next((at for at, line in enumerate(lines) if line.startswith(_NEGATIVE)), len(lines))
    negative = "\n".join(lines[start:]).removeprefix(_NEGATIVE).strip()
    width, _, height = found.get("size", "").partition("x")
    said = {
        "prompt": "\n".join(lines[:start]),
        "negative_prompt": negative,
        "steps": found["steps"],
        "cfg_scale": found.get("cfg scale", ""),
        "seed": found.get("seed", ""),
        "width": width,
        "height": height,
    }
    return {name: value for name, value in said.items() if value} | _sampler(found)


def _sampler(found: Mapping[str, str]) -> dict[str, object]:
    name = found.get("sampler", "").lower()
    schedule = found.get("schedule type", "").lower()
    plain = name.removesuffix(" karras")
    if plain not in _OURS:
        return {}
    return {"sampler": _OURS[plain], "karras": plain != name or schedule == "karras"}


def _quoted(value: str) -> str:
    plain = not any(letter in value for letter in ',:\n"')
    return value if plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value.strip('"')
    return value

"""`parameters`: the text in which other tools write, read and share how a picture was made."""

import json
import re
from collections.abc import Mapping

from invoke.request import Request
from invoke.switch_types import render_number

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

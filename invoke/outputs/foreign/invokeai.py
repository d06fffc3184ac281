"""Reads recipes of InvokeAI: the line `Dream`, `sd-metadata` of version 2, `invokeai_metadata` since version 3."""

import re
from collections.abc import Iterator
from typing import Any

from invoke.errors import CommandError
from invoke.language.parse import CommandCall, Draft, read
from invoke.language.render import render_switch
from invoke.language.switches import by_name
from invoke.outputs.foreign.recipe import Found, as_list, as_object, as_text, makes_a_picture, shown
from invoke.text import render_number

PROGRAM = "InvokeAI"

_MODEL_COMMENT = re.compile(r"\s+# model_id=(.*)\Z", re.DOTALL)
_SAME = ("seed", "steps", "cfg_scale", "width", "height", "threshold", "perlin", "seamless", "hires_fix")


def dream(text: str) -> Found | None:
    """Read the picture switches of the line `text`; None if it cannot be read."""
    comment = _MODEL_COMMENT.search(text)
    line = " ".join(_MODEL_COMMENT.sub("", text).split())
    try:
        draft = read(line)
    except CommandError:
        return None
    if isinstance(draft, CommandCall):
        return Found(PROGRAM).refuse(shown("its line is a command:", line))
    if not isinstance(draft, Draft) or draft.before is not None:
        return None
    found = Found(PROGRAM, prompt=draft.prompt or "")
    if comment is not None:
        found.lose("model", comment[1])
    for name, value in draft.switches.items():
        row = by_name()[name]
        if name == "negative_prompt":
            found.negative_prompt = value
        elif makes_a_picture(row) and not (name == "seed" and value < 0):
            found.typed[name] = value
        else:
            found.left_out += [shown(" ".join(render_switch(row, occurrence))) for occurrence in row.occurrences(value)]
    return found


def version_2(text: str) -> Found | None:
    """Read `sd-metadata`: one picture, or the first of a grid."""
    data = as_object(text)
    image = data.get("image") or next(iter(as_list(data.get("images"))), None)
    if not isinstance(image, dict):
        return None
    found = Found(PROGRAM, prompt=_weighted(image.get("prompt")))
    found.settings = {name: image.get(name) for name in (*_SAME, "sampler")}
    varied = [one for one in as_list(image.get("variations")) if isinstance(one, dict)]
    found.settings["with_variations"] = ",".join(f"{one.get('seed')}:{one.get('weight')}" for one in varied)
    if image.get("type") == "img2img" or image.get("init_image_path"):
        _lose_init_picture(found, image.get("strength"), image.get("init_image_path"))
    if data.get("model_weights"):
        found.lose("model", data["model_weights"])
    return found


def version_3(text: str) -> Found | None:
    """Read `invokeai_metadata`."""
    data = as_object(text)
    if not {"positive_prompt", "seed", "steps"} & data.keys():
        return None
    found = Found(
        PROGRAM,
        prompt=_unbracketed(data.pop("positive_prompt", None)),
        negative_prompt=_unbracketed(data.pop("negative_prompt", None)),
    )
    found.settings = {name: data.pop(name, None) for name in ("seed", "steps", "cfg_scale", "width", "height")}
    found.settings |= {"sampler": data.pop("scheduler", None), "clip_skip": data.pop("clip_skip", None)}
    found.settings["cfg_rescale"] = data.pop("cfg_rescale_multiplier", None)
    if data.get("seamless_x") is True and data.get("seamless_y") is True:
        found.settings["seamless"] = data.pop("seamless_x") and data.pop("seamless_y")
    strength, path = data.pop("strength", None), data.pop("init_image", None)
    if path or strength not in (None, ""):
        _lose_init_picture(found, strength, path)
    if data.get("generation_mode") in {"txt2img", "sdxl_txt2img", "img2img", "sdxl_img2img"}:
        del data["generation_mode"]
    found.prompt = " ".join([*_loras(data.pop("loras", None), found), found.prompt]).strip()
    found.lose_rest({name: _named(value) for name, value in data.items()}, _UNSAID_3)
    return found


def _unbracketed(text: object) -> str:
    """A prompt since version 3, in which square brackets have no meaning."""
    return re.sub(r"(?<!\\)([\[\]])", r"\\\1", _words(text))


def _loras(data: object, found: Found) -> Iterator[str]:
    for lora in as_list(data):
        name, weight = (_named(lora.get(key)) for key in ("model", "weight")) if isinstance(lora, dict) else ("", 0)
        if isinstance(name, str) and re.fullmatch(r"[\w.-]+", name) and isinstance(weight, int | float):
            yield f"withLora({name},{render_number(weight)})"
        else:
            found.lose("LoRA", f"{name} {weight}")


def _named(value: object) -> object:
    """The name in a value that describes a model, or the value itself."""
    name = value.get("name", value.get("model_name")) if isinstance(value, dict) else None
    return value if name is None else name


_UNSAID_3 = frozenset({"app_version", "rand_device", "created_by"})
"""Keys that do not affect the picture."""


def _lose_init_picture(found: Found, strength: Any, path: object) -> None:
    found.settings["strength"] = strength
    found.lose("the init picture", f"{as_text(path)} (name it with -I)".strip())


def _words(text: object) -> str:
    return text if isinstance(text, str) else "" if text is None else str(text)


def _weighted(prompt: object) -> str:
    parts = [part for part in as_list(prompt) if isinstance(part, dict)]
    if not parts:
        return as_text(prompt)
    if len(parts) == 1:
        return str(parts[0].get("prompt", ""))
    return " ".join(f"{part.get('prompt', '')}:{part.get('weight', 1)}" for part in parts)

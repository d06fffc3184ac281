"""How pictures of other programs, and of our ancestors, were made: as a line, as well as it can be told.

Only what makes a picture is taken over, each value checked as if typed and left out when it is wrong. Paths,
folders and models that a file names are no concern of ours.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from invoke.command.render import render_prompt, render_switch
from invoke.outputs import a1111
from invoke.samplers import SAMPLERS
from invoke.switches import by_name
from invoke.text import clean

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
    readers = {"sd-metadata": _invokeai_2, "invokeai_metadata": _invokeai_3, a1111.KEYWORD: a1111.parse}
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

"""File names: `000032.1592514025.png`, or what `--fnformat` says, always inside their folder."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePath

from invoke.language.types.template import parts_of
from invoke.request import Request

DEFAULT = "{prefix}.{seed}.png"
LONGEST_TEXT = 50
"""Letters of a text mask in a name."""
OTHER_FILES = ("grid", "sweep", "steps", "orig")
"""Ends of names of what is no picture of a line."""
LONGEST_NAME = 255
"""Bytes, as most file systems have it."""

_ROOM = 15  # for `-01`, and for another tool's `.upscaled`
_UNSAFE = frozenset('<>:"/\\|?*')
_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def seed_shown(request: Request) -> int:
    """The seed that tells a picture from its neighbours: that of the last variation where there are any."""
    return request.variations[-1][0] if request.variations else request.seed


def stem(number: int, request: Request, label: str = "") -> str:
    """`000032.1592514025`, `000032.1592514025.stone-tree` where a label tells it from the others of its line."""
    words = _safe("-".join(label[:LONGEST_TEXT].split()))
    words += "_" * (words in OTHER_FILES)
    return f"{number:06}.{seed_shown(request)}{words and '.' + words}"


def picture_stem(template: str, number: int, request: Request) -> str:
    """The name that `template` (`--fnformat`) gives a picture, without `.png`: one part of a path, whatever it says."""
    values = _values(number, request)
    text = "".join(
        letters + (format(values[field], form) if field else "") for letters, field, form in parts_of(template)
    )
    return _safe(text) or stem(number, request)


def mask_stem(number: int, path: str, text: str, kind: str) -> str:
    """`000032.harbour.the sky.selected`: what a text selects in the picture at `path`."""
    return f"{_safe(f'{number:06}.{PurePath(path).stem}.{text[:LONGEST_TEXT]}')}.{kind}"


def is_picture_name(name: str) -> bool:
    """Whether a picture of ours may have this name: one part of a path, with nothing that cannot be shown."""
    try:
        fits = len(name.encode()) <= LONGEST_NAME
    except UnicodeEncodeError:
        return False
    unsafe = any(char in _UNSAFE or unicodedata.category(char) in _UNSHOWN for char in name)
    return fits and not unsafe and name.endswith(".png") and name[0] not in ".-"


def alternatives(name: str) -> Iterator[str]:
    """`name`, then `name-01`, `name-02` …"""
    yield name
    for count in range(1, 1_000_000):
        yield f"{name}-{count:02}"


def _values(number: int, request: Request) -> dict[str, str | int | float]:
    model = PurePath(request.model).name or request.model
    start = PurePath(request.init_path).stem if request.init_path else ""
    return {
        "prefix": f"{number:06}",
        "seed": seed_shown(request),
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "steps": request.steps,
        "cfg_scale": request.guidance_scale,
        "width": request.width,
        "height": request.height,
        "strength": request.strength,
        "perlin": request.perlin,
        "threshold": request.threshold,
        "sampler": request.scheduler,
        "sampler_name": request.scheduler,
        "model": model,
        "model_id": model,
        "init_img": start,
    }


def _safe(text: str) -> str:
    """`text` as a file name without its ending: nothing that separates, hides or cannot be shown."""
    text = re.sub(r"\.png\Z", "", text, flags=re.IGNORECASE)
    shown = "".join("_" if char in _UNSAFE or unicodedata.category(char) in _UNSHOWN else char for char in text)
    name = _cut(shown.lstrip(".- "), LONGEST_NAME - len(".png") - _ROOM).rstrip(". ")
    return f"_{name}" if _DEVICES.fullmatch(name) else name


def _cut(text: str, most: int) -> str:
    """As much of `text` as fits into `most` bytes."""
    return text.encode("utf-8")[:most].decode("utf-8", "ignore")

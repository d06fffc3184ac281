"""File names: `000032.1592514025.png`, or from `--fnformat`; always inside their folder."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePath

from invoke.language.types.template import parts_of
from invoke.request import Request

DEFAULT = "{prefix}.{seed}.png"
LONGEST_TEXT = 50
"""Maximum length of a text mask in a name."""
OTHER_FILES = ("grid", "sweep", "steps", "orig")
"""Suffixes of files that are not pictures of a line."""
LONGEST_NAME = 255
"""In bytes: the limit of most file systems."""

_ROOM = 15  # for `-01`, and for suffixes of other tools such as `.upscaled`
_UNSAFE = frozenset('<>:"/\\|?*')
_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def seed_shown(request: Request) -> int:
    """The seed in a picture's name: that of its last variation, if any."""
    return request.variations[-1][0] if request.variations else request.seed


def stem(number: int, request: Request, label: str = "") -> str:
    """`000032.1592514025`, or `000032.1592514025.stone-tree` with a label."""
    words = _safe("-".join(label[:LONGEST_TEXT].split()))
    words += "_" * (words in OTHER_FILES)
    return f"{number:06}.{seed_shown(request)}{words and '.' + words}"


def picture_stem(template: str, number: int, request: Request) -> str:
    """Apply `template` (`--fnformat`): a name without `.png`, always a single path component."""
    values = _values(number, request)
    text = "".join(
        letters + (format(values[field], form) if field else "") for letters, field, form in parts_of(template)
    )
    return _safe(text) or stem(number, request)


def mask_stem(number: int, path: str, text: str, kind: str) -> str:
    """The name for the results of a text mask: `000032.harbour.the sky.selected`."""
    return f"{_safe(f'{number:06}.{PurePath(path).stem}.{text[:LONGEST_TEXT]}')}.{kind}"


def is_picture_name(name: str) -> bool:
    """Whether it is a valid name for one of our pictures: a single path component of printable characters."""
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
    """Turn `text` into a file name without extension: no separators, not hidden, only printable characters."""
    text = re.sub(r"\.png\Z", "", text, flags=re.IGNORECASE)
    shown = "".join("_" if char in _UNSAFE or unicodedata.category(char) in _UNSHOWN else char for char in text)
    name = _cut(shown.lstrip(".- "), LONGEST_NAME - len(".png") - _ROOM).rstrip(". ")
    return f"_{name}" if _DEVICES.fullmatch(name) else name


def _cut(text: str, most: int) -> str:
    """Cut `text` to at most `most` bytes."""
    return text.encode("utf-8")[:most].decode("utf-8", "ignore")

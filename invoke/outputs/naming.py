"""What files are called: `000032.1592514025.png`, or what `--fnformat` says, always inside their folder."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePath
from string import Formatter

from invoke.errors import OutputError
from invoke.request import Request
from invoke.wording import did_you_mean

DEFAULT = "{prefix}.{seed}.png"
LONGEST_TEXT = 50
"""Letters of a text mask in a name."""
LONGEST_NAME = 255
"""Bytes, as most file systems have it."""

_ROOM = 15  # for `-01`, and for another tool's `.upscaled`
_SAMPLES: dict[str, str | int | float] = {
    "prefix": "000001",
    "seed": 1,
    "prompt": "a cat",
    "negative_prompt": "",
    "steps": 50,
    "cfg_scale": 7.5,
    "width": 512,
    "height": 512,
    "strength": 0.75,
    "sampler": "ddim",
    "sampler_name": "ddim",
    "model": "pocket",
    "model_id": "pocket",
    "init_img": "fire",
}
"""What can be said in a name, each with a value of its type."""
_UNSAFE = frozenset('<>:"/\\|?*')
_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_FORMAT = re.compile(r"[<>^]?0?\d{0,3}(\.\d{1,2})?[dfgs]?")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def seed_shown(request: Request) -> int:
    """The seed that tells a picture from its neighbours: that of the last variation where there are any."""
    return request.variations[-1][0] if request.variations else request.seed


def stem(number: int, request: Request) -> str:
    """`000032.1592514025`"""
    return f"{number:06}.{seed_shown(request)}"


def check(template: str) -> None:
    """Raise OutputError when `template` (`--fnformat`) cannot name a picture."""
    for _, field, form, conversion in _parts(template):
        if field is None:
            continue
        if field not in _SAMPLES:
            meant = did_you_mean(field, _SAMPLES, "{{{}}}")
            raise _bad(f"nothing is called {{{field}}}{meant}", hint=" ".join(f"{{{key}}}" for key in _SAMPLES))
        try:
            if conversion or not _FORMAT.fullmatch(form or ""):
                raise ValueError
            format(_SAMPLES[field], form or "")
        except ValueError as error:
            raise _bad(f"{{{field}}} cannot be written as '{conversion or form}'") from error


def picture_stem(template: str, number: int, request: Request) -> str:
    """The name that `template` gives a picture, without `.png`: one part of a path, whatever it is made of.

    Raises OutputError when the template cannot be followed.
    """
    check(template)
    values = _values(number, request)
    text = "".join(
        literal + (format(values[field], form or "") if field else "") for literal, field, form, _ in _parts(template)
    )
    return _safe(text) or stem(number, request)


def mask_stem(number: int, path: str, text: str, kind: str) -> str:
    """`000032.harbour.the sky.selected`: what a text selects in the picture at `path`."""
    return f"{_safe(f'{number:06}.{PurePath(path).stem}.{text[:LONGEST_TEXT]}')}.{kind}"


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
        "sampler": request.scheduler,
        "sampler_name": request.scheduler,
        "model": model,
        "model_id": model,
        "init_img": start,
    }


def _parts(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(template))
    except ValueError as error:
        raise _bad(f"'{template}' is no template: {error}") from error


def _safe(text: str) -> str:
    """`text` as a file name without its ending: nothing that separates, hides or cannot be shown."""
    text = re.sub(r"\.png\Z", "", text, flags=re.IGNORECASE)
    shown = "".join("_" if char in _UNSAFE or unicodedata.category(char) in _UNSHOWN else char for char in text)
    name = _cut(shown.lstrip(".- "), LONGEST_NAME - len(".png") - _ROOM).rstrip(". ")
    return f"_{name}" if _DEVICES.fullmatch(name) else name


def _cut(text: str, most: int) -> str:
    """As much of `text` as fits into `most` bytes."""
    return text.encode("utf-8")[:most].decode("utf-8", "ignore")


def _bad(message: str, hint: str = "") -> OutputError:
    return OutputError(f"--fnformat: {message}", code="bad_fnformat", hint=hint)

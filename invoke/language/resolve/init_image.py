"""`-I` and `-M`: a path, `-1` (the newest picture), `-` (standard input), the previous picture of a chain."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoke.errors import RequestError
from invoke.images import PictureFacts, describe
from invoke.language.parse import Draft
from invoke.language.plan import Planned
from invoke.language.resolve.line_context import ErrorColumn, LineContext
from invoke.language.switches import by_name, in_force
from invoke.language.types import TEXT_MASK_THRESHOLD
from invoke.paths import expanded, is_there
from invoke.request import Request
from invoke.text import counted


@dataclass(frozen=True, slots=True)
class Start:
    """A picture that is there, and its mask; without `facts` there is nothing to start from."""

    image: str | Request | None = None
    mask: str | None = None
    facts: PictureFacts | None = None


def find_start(draft: Draft, settings: Mapping[str, Any], world: LineContext, before: Planned | None) -> Start:
    """What the part starts from, looked at. Raises RequestError or PictureError with the column."""
    image: str | Request
    if before is not None:
        image = before.request
        width, height = image.finished_size
        facts = PictureFacts("the picture before", width, height, transparent=0.0)
    elif "init_img" in settings:
        with ErrorColumn(draft, "init_img"):
            image = picture_path("init_img", settings["init_img"], world, in_force("outdir", settings))
            facts = describe(image)
    else:
        return Start()
    with ErrorColumn(draft, "init_mask"):
        return Start(image, _mask(settings, world, facts), facts)


def text_mask(settings: Mapping[str, Any], facts: PictureFacts | None) -> tuple[str, float] | None:
    """Text and threshold where they say what is repainted: a mask and the picture's own transparency win."""
    typed = in_force("text_mask", settings)
    if typed is None or facts is None or "init_mask" in settings or facts.has_hole:
        return None
    return (*typed, TEXT_MASK_THRESHOLD)[:2]


def _mask(settings: Mapping[str, Any], world: LineContext, facts: PictureFacts) -> str | None:
    if "init_mask" not in settings:
        return None
    path = picture_path("init_mask", settings["init_mask"], world, in_force("outdir", settings))
    mask = describe(path)
    if abs(mask.width * facts.height - mask.height * facts.width) > max(mask.width, mask.height):
        raise RequestError(
            f"the mask {path} is {mask.width}×{mask.height}, the init picture {facts.width}×{facts.height}: "
            "their shapes differ",
            code="mask_size",
            hint="a mask covers the whole picture, upright, in any size of the same shape",
        )
    return path


_REFERENCE = re.compile(r"-[1-9][0-9]*")


def picture_path(name: str, typed: str, world: LineContext, outdir: str) -> str:
    """The path that `typed` means behind the switch `name`. Raises RequestError."""
    spelling = by_name()[name].spelling
    if is_reference(typed):
        return recalled(spelling, int(typed), world.newest)[0]
    if typed == "-":
        raise RequestError(
            f"{spelling} -: no picture can come through the standard input here",
            code="stdin_taken",
            hint="for -I of one line it can: cat fire.png | invoke 'a fire -I -'",
        )
    return find_picture(typed, outdir)


def find_picture(typed: str, outdir: str) -> str:
    """The path that `typed` names: in the working folder, else in the output folder."""
    path = expanded(typed)
    there = Path(outdir) / path
    if not path.is_absolute() and not is_there(path) and is_there(there):
        return str(there)
    return str(path)


def is_reference(typed: str) -> bool:
    """Whether `typed` says how long ago a picture was made."""
    return _REFERENCE.fullmatch(typed) is not None


def recalled(what: str, back: int, newest: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Path and seed of the `back`th (−1, −2 …) of the `newest` pictures. Raises RequestError, which names `what`."""
    if -back > len(newest):
        some = f"only {counted(len(newest), 'picture')} {'was' if len(newest) == 1 else 'were'} made in this sitting"
        raise RequestError(
            f"{what} {back}: {some if newest else 'no picture was made in this sitting yet'}", code="no_such_picture"
        )
    return newest[back]

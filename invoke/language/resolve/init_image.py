"""`-I` and `-M`: a path, `-1` (the newest picture), `-` (standard input), the previous picture of a chain."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from invoke.errors import RequestError
from invoke.images import PictureFacts, describe, map_range, mask_range
from invoke.language.parse import Draft
from invoke.language.plan import Planned
from invoke.language.resolve.line_context import ErrorColumn, LineContext
from invoke.language.switches import by_name, in_force
from invoke.language.types import TEXT_MASK_THRESHOLD
from invoke.paths import expanded, is_there
from invoke.request import Request
from invoke.text import UNTYPABLE, counted


@dataclass(frozen=True, slots=True)
class Start:
    """A picture that is there, and its mask; without `facts` there is nothing to start from."""

    image: str | Request | None = None
    mask: str | None = None
    facts: PictureFacts | None = None
    strength_map: str | None = None
    strengths: tuple[float, float] | None = None
    """The least and the largest, where they differ from place to place."""


def find_start(draft: Draft, settings: Mapping[str, Any], context: LineContext, before: Planned | None) -> Start:
    """What the part starts from, looked at. Raises RequestError or PictureError with the column."""
    image: str | Request
    if before is not None:
        image = before.request
        width, height = image.finished_size
        facts = PictureFacts("the previous picture", width, height)
    elif "init_img" in settings:
        with ErrorColumn(draft, "init_img"):
            image = picture_path("init_img", settings["init_img"], context, in_force("outdir", settings))
            facts = facts_of(image, context)
    else:
        return Start()
    with ErrorColumn(draft, "init_mask"):
        mask = _shaped("init_mask", settings, context, facts)
    with ErrorColumn(draft, "strength_map"):
        strength_map = _shaped("strength_map", settings, context, facts)
    _check_graded(draft, settings, strength_map)
    return Start(image, mask, facts, strength_map, _strengths(settings, mask, strength_map))


def _check_graded(draft: Draft, settings: Mapping[str, Any], strength_map: str | None) -> None:
    """Raises RequestError for what does not go with a strength that differs from place to place."""
    soft = in_force("soft", settings) and "init_mask" in settings
    if strength_map and soft:
        raise RequestError(
            "--soft and --strength_map cannot be combined: both say how much to redraw where",
            code="not_combined",
            column=draft.columns.get("soft"),
            hint="leave one of them out; without --soft, -M says where the map counts",
        )
    if (strength_map or soft) and in_force("outcrop", settings):
        raise RequestError(
            f"{'--strength_map' if strength_map else '--soft'} and -c cannot be combined: "
            "nothing says how much of the new part to redraw",
            code="not_combined",
            column=draft.columns.get("outcrop"),
            hint="make it two parts of a chain, with |> between them",
        )


def _strengths(settings: Mapping[str, Any], mask: str | None, strength_map: str | None) -> tuple[float, float] | None:
    if strength_map is not None:
        low, high = map_range(strength_map)
    elif mask is not None and in_force("soft", settings):
        least, most = mask_range(mask)
        low, high = (least, most) if in_force("invert_mask", settings) else (255 - most, 255 - least)
    else:
        return None
    return low / 255, high / 255


def check_known(request: Request, facts: PictureFacts | None, columns: Mapping[str, int]) -> None:
    """Raise RequestError where a strength below 1 would start from a picture of which nothing is left."""
    is_used = facts is not None and facts.transparency.is_blank and 0 < request.strength < 1
    if is_used and request.mask_image is None:
        assert facts is not None
        raise RequestError(
            f"{facts.path}: all of it is transparent and its colours are erased, so there is nothing to start from",
            code="nothing_known",
            column=columns.get("init_img"),
            hint="-f 1 paints all of it, like a line without -I",
        )


def text_mask(settings: Mapping[str, Any], facts: PictureFacts | None) -> tuple[str, float] | None:
    """Text and threshold where they say what is repainted: a mask and the picture's own transparency win."""
    typed = in_force("text_mask", settings)
    if typed is None or facts is None or "init_mask" in settings or facts.has_hole:
        return None
    return (*typed, TEXT_MASK_THRESHOLD)[:2]


_SHAPED = {"init_mask": "mask", "strength_map": "strength map"}
"""Switches whose picture lies over the init picture, and what it is called."""


def _shaped(name: str, settings: Mapping[str, Any], context: LineContext, facts: PictureFacts) -> str | None:
    """The path after the switch `name`, one of `_SHAPED`. Raises RequestError where its shape is not the picture's."""
    if name not in settings:
        return None
    what = _SHAPED[name]
    path = picture_path(name, settings[name], context, in_force("outdir", settings))
    found = describe(path)
    if abs(found.width * facts.height - found.height * facts.width) > max(found.width, found.height):
        raise RequestError(
            f"the {what} {path} is {found.width}×{found.height}, the init picture {facts.width}×{facts.height}: "
            "their shapes differ",
            code="mask_size",
            hint=f"the {what} must have the picture's proportions (any size)",
        )
    return path


def facts_of(path: str, context: LineContext) -> PictureFacts:
    """Size and transparency of the picture at `path`, or of one that is not made yet. Raises PictureError."""
    if path not in context.promised:
        return describe(path)
    width, height = context.promised[path]
    return PictureFacts(path, width, height)


_URL = re.compile(r"[a-z][a-z0-9+.-]*://|data:\w+/", re.IGNORECASE)
_REFERENCE = re.compile(r"-[1-9][0-9]*")
_ADDRESS = re.compile(r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,8})")


def refuse_url(typed: str) -> None:
    """Raises RequestError for an address of the web, where a file is to be named."""
    if (found := _URL.match(typed)) and not is_there(expanded(typed)):
        is_file = found[0].lower().startswith("file:")
        raise RequestError(
            f"{typed[:60]}: addresses are not downloaded",
            code="address",
            hint=f"name the file itself: {unquote(typed[7:])}" if is_file else "save the picture and name its file",
        )


def refuse_untypable(path: str) -> None:
    """Raises RequestError for a name that a saved line could not name again."""
    if UNTYPABLE.search(path):
        raise RequestError(
            f"{path}: this name cannot be written in a line: it has a line break, a control character or is not UTF-8",
            code="untypable_name",
            hint="rename the file",
        )


def picture_path(name: str, typed: str, context: LineContext, outdir: str) -> str:
    """The path that `typed` means after the switch `name`. Raises RequestError."""
    spelling = by_name()[name].spelling
    refuse_url(typed)
    if is_reference(typed):
        return recalled(spelling, int(typed), context.newest)[0]
    if (address := address_of(typed)) is not None:
        return picture_of_line(spelling, *address, context.by_line)[0]
    if typed == "-":
        raise RequestError(
            f"{spelling} -: a picture cannot be read from standard input here",
            code="stdin_taken",
            hint="it can for -I of a single line: cat fire.png | invoke 'a fire -I -'",
        )
    return find_picture(typed, outdir)


def find_picture(typed: str, outdir: str) -> str:
    """The path that `typed` names: in the working folder, else in the output folder."""
    path = expanded(typed)
    in_outdir = expanded(Path(outdir) / path)
    if not path.is_absolute() and not is_there(path) and is_there(in_outdir):
        return str(in_outdir)
    return str(path)


def is_reference(typed: str) -> bool:
    """Whether `typed` says how long ago a picture was made."""
    return _REFERENCE.fullmatch(typed) is not None


def address_of(typed: str) -> tuple[int, int] | None:
    """The line and the picture of it that `12.3` names; None where a file is called so, and for anything else."""
    found = _ADDRESS.fullmatch(typed)
    return None if found is None or is_there(expanded(typed)) else (int(found[1]), int(found[2]))


def picture_of_line(
    what: str, line: int, picture: int, by_line: Mapping[int, Sequence[tuple[str, int]]]
) -> tuple[str, int]:
    """Path and seed of a picture (from 1) of a line at the prompt. Raises RequestError, which names `what`."""
    made = by_line.get(line, ())
    if picture > len(made):
        some = f"line {line} made {counted(len(made), 'picture')}" if made else f"line {line} made no picture"
        raise RequestError(
            f"{what} {line}.{picture}: {some} in this session",
            code="no_such_picture",
            hint="-1 is the newest picture; [12.3] before a picture's path is its address",
        )
    return made[picture - 1]


def refers_back(draft: Draft) -> bool:
    """Whether a part of `draft` names a picture by how long ago, or by which line, it was made."""
    return any(
        isinstance(word, str) and (is_reference(word) or address_of(word) is not None)
        for part in draft.parts
        for name, value in part.switches.items()
        for word in _words(name, value)
    )


def _words(name: str, value: Any) -> Sequence[Any]:
    match name:
        case "seed":
            return (str(value),)
        case "init_img" | "init_mask" | "init_color" | "strength_map":
            return (value,)
        case "more_img":
            return value  # type: ignore[no-any-return]
        case "control":
            return [image for _, image, *_ in value]
        case "ip_adapter":
            return [image for _, image, *_ in value]
    return ()


def recalled(what: str, back: int, newest: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Path and seed of the `back`th (−1, −2 …) of the `newest` pictures. Raises RequestError, which names `what`."""
    if -back > len(newest):
        some = f"only {counted(len(newest), 'picture')} {'was' if len(newest) == 1 else 'were'} made in this session"
        raise RequestError(
            f"{what} {back}: {some if newest else 'no picture was made in this session yet'}", code="no_such_picture"
        )
    return newest[back]

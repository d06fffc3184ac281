"""`-I` and `-M`: a path, `-1` (the most recent picture), `-` (standard input), or the previous part of a chain."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from invoke.errors import RequestError
from invoke.images import PictureFacts, check_mask, describe, map_range, mask_range, mask_share
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
    """The init picture and its mask; without `facts` there is none."""

    image: str | Request | None = None
    mask: str | None = None
    facts: PictureFacts | None = None
    strength_map: str | None = None
    strengths: tuple[float, float] | None = None
    """The lowest and highest strength, if it varies within the picture."""


def find_start(draft: Draft, settings: Mapping[str, Any], context: LineContext, before: Planned | None) -> Start:
    """Find and inspect the picture that the part starts from. Raises RequestError or PictureError with the column."""
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
        if mask is not None:
            check_mask(mask, mask_share(mask), is_inverted=in_force("invert_mask", settings))
    with ErrorColumn(draft, "strength_map"):
        strength_map = _shaped("strength_map", settings, context, facts)
    _check_graded(draft, settings, strength_map)
    return Start(image, mask, facts, strength_map, _strengths(settings, mask, strength_map))


def _check_graded(draft: Draft, settings: Mapping[str, Any], strength_map: str | None) -> None:
    """Raise RequestError for switches that cannot be combined with a varying strength."""
    soft = in_force("soft", settings) and "init_mask" in settings
    if strength_map and soft:
        raise RequestError(
            "--soft and --strength_map cannot be combined: both set the strength of each pixel",
            code="not_combined",
            column=draft.columns.get("soft"),
            hint="omit one of them; without --soft, -M limits where the map applies",
        )
    if (strength_map or soft) and in_force("outcrop", settings):
        raise RequestError(
            f"{'--strength_map' if strength_map else '--soft'} and -c cannot be combined: "
            "the new part would have no strength",
            code="not_combined",
            column=draft.columns.get("outcrop"),
            hint="use a chain of two parts, with |> between them",
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
    """Raise RequestError if a strength below 1 would start from a picture that is all transparent."""
    is_used = facts is not None and facts.transparency.is_blank and 0 < request.strength < 1
    if is_used and request.mask_image is None:
        assert facts is not None
        raise RequestError(
            f"{facts.path}: all of it is transparent and erased, so there is nothing to start from",
            code="nothing_known",
            column=columns.get("init_img"),
            hint="-f 1 paints all of it, like a line without -I",
        )


def text_mask(settings: Mapping[str, Any], facts: PictureFacts | None) -> tuple[str, float] | None:
    """Text and threshold of `-tm`; None if there is none, or a mask or the picture's transparency takes precedence."""
    typed = in_force("text_mask", settings)
    if typed is None or facts is None or "init_mask" in settings or facts.has_hole:
        return None
    return (*typed, TEXT_MASK_THRESHOLD)[:2]


_SHAPED = {"init_mask": "mask", "strength_map": "strength map"}
"""Switches whose picture must have the init picture's proportions → what it is called."""


def _shaped(name: str, settings: Mapping[str, Any], context: LineContext, facts: PictureFacts) -> str | None:
    """The path given with the switch `name` of `_SHAPED`. Raises RequestError if its proportions differ."""
    if name not in settings:
        return None
    what = _SHAPED[name]
    path = picture_path(name, settings[name], context, in_force("outdir", settings))
    found = describe(path)
    if abs(found.width * facts.height - found.height * facts.width) > max(found.width, found.height):
        raise RequestError(
            f"{by_name()[name].spelling}: {path} is {found.width}×{found.height}, but the init picture is "
            f"{facts.width}×{facts.height}: their shapes differ",
            code="mask_size",
            hint=f"the {what} must have the picture's proportions (any size)",
        )
    return path


def facts_of(path: str, context: LineContext) -> PictureFacts:
    """Size and transparency of the picture at `path`, which may still be queued. Raises PictureError."""
    if path not in context.promised:
        return describe(path)
    width, height = context.promised[path]
    return PictureFacts(path, width, height)


_URL = re.compile(r"[a-z][a-z0-9+.-]*://|data:\w+/", re.IGNORECASE)
_REFERENCE = re.compile(r"-[1-9][0-9]*")
_ADDRESS = re.compile(r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,8})")


def refuse_url(typed: str) -> None:
    """Raise RequestError for a web address where a file is expected."""
    if (found := _URL.match(typed)) and not is_there(expanded(typed)):
        is_file = found[0].lower().startswith("file:")
        raise RequestError(
            f"{typed[:60]}: addresses are not downloaded",
            code="address",
            hint=f"name the file itself: {unquote(typed[7:])}" if is_file else "save the picture and name its file",
        )


def refuse_untypable(path: str) -> None:
    """Raise RequestError for a file name that cannot be typed in a line."""
    if UNTYPABLE.search(path):
        raise RequestError(
            f"{path}: this name cannot be written in a line: it has a line break, a control character or is not UTF-8",
            code="untypable_name",
            hint="rename the file",
        )


def picture_path(name: str, typed: str, context: LineContext, outdir: str) -> str:
    """Resolve `typed`, given with the switch `name`, to a path. Raises RequestError."""
    spelling = by_name()[name].spelling
    refuse_url(typed)
    if is_reference(typed):
        return recalled(spelling, int(typed), context.newest)[0]
    if (address := address_of(typed)) is not None:
        return picture_of_line(spelling, *address, context.by_line)[0]
    if typed == "-":
        raise RequestError(
            f"{spelling} -: cannot read a picture from standard input here",
            code="stdin_taken",
            hint="-I of a single line can: cat fire.png | invoke 'a fire -I -'",
        )
    return find_picture(typed, outdir)


def find_picture(typed: str, outdir: str) -> str:
    """Find the picture `typed` in the working folder, else in the output folder."""
    path = expanded(typed)
    in_outdir = expanded(Path(outdir) / path)
    if not path.is_absolute() and not is_there(path) and is_there(in_outdir):
        return str(in_outdir)
    return str(path)


def is_reference(typed: str) -> bool:
    """Whether `typed` counts back from the most recent picture (`-1`)."""
    return _REFERENCE.fullmatch(typed) is not None


def address_of(typed: str) -> tuple[int, int] | None:
    """The numbers of line and picture in `12.3`; None if a file has this name, or for anything else."""
    found = _ADDRESS.fullmatch(typed)
    return None if found is None or is_there(expanded(typed)) else (int(found[1]), int(found[2]))


def picture_of_line(
    what: str, line: int, picture: int, by_line: Mapping[int, Sequence[tuple[str, int]]]
) -> tuple[str, int]:
    """Path and seed of a picture (from 1) of a line in the shell. Raises RequestError; `what` is the switch."""
    made = by_line.get(line, ())
    if picture > len(made):
        some = f"line {line} made {counted(len(made), 'picture')}" if made else f"line {line} made no picture"
        raise RequestError(
            f"{what} {line}.{picture}: {some} in this session",
            code="no_such_picture",
            hint="-1 is the most recent picture; [12.3] before a picture's path is its address",
        )
    return made[picture - 1]


def refers_back(draft: Draft) -> bool:
    """Whether `draft` refers to a picture of the session (`-1`, `12.3`)."""
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
    """Path and seed of the `back`th (−1, −2, …) of the `newest` pictures. Raises RequestError; `what` is the switch."""
    if -back > len(newest):
        some = f"only {counted(len(newest), 'picture')} {'was' if len(newest) == 1 else 'were'} made in this session"
        raise RequestError(
            f"{what} {back}: {some if newest else 'no picture was made in this session'}", code="no_such_picture"
        )
    return newest[back]

"""What a part starts from: its init picture or that of the part before, and what is repainted of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invoke.command.draft import Draft
from invoke.command.picture_names import picture_path
from invoke.command.plan import Planned
from invoke.command.world import Blame, World
from invoke.errors import RequestError
from invoke.pictures import PictureFacts, describe
from invoke.request import Request
from invoke.switch_types import TEXT_MASK_THRESHOLD
from invoke.switches import in_force


@dataclass(frozen=True, slots=True)
class Start:
    """A picture that is there, and its mask; without `facts` there is nothing to start from."""

    image: str | Request | None = None
    mask: str | None = None
    facts: PictureFacts | None = None


def find_start(draft: Draft, given: Mapping[str, Any], world: World, before: Planned | None) -> Start:
    """What the part starts from, looked at. Raises RequestError or PictureError with the column."""
    image: str | Request
    if before is not None:
        image = before.request
        width, height = image.finished_size
        facts = PictureFacts("the picture before", width, height, transparent=0.0)
    elif "init_img" in given:
        with Blame(draft, "init_img"):
            image = picture_path("init_img", given["init_img"], world, in_force("outdir", given))
            facts = describe(image)
    else:
        return Start()
    with Blame(draft, "init_mask"):
        return Start(image, _mask(given, world, facts), facts)


def text_mask(given: Mapping[str, Any], facts: PictureFacts | None) -> tuple[str, float] | None:
    """Text and threshold where they say what is repainted: a mask and the picture's own transparency win."""
    typed = in_force("text_mask", given)
    if typed is None or facts is None or "init_mask" in given or facts.has_hole:
        return None
    return (*typed, TEXT_MASK_THRESHOLD)[:2]


def _mask(given: Mapping[str, Any], world: World, facts: PictureFacts) -> str | None:
    if "init_mask" not in given:
        return None
    path = picture_path("init_mask", given["init_mask"], world, in_force("outdir", given))
    mask = describe(path)
    if abs(mask.width * facts.height - mask.height * facts.width) > max(mask.width, mask.height):
        raise RequestError(
            f"the mask {path} is {mask.width}×{mask.height}, the init picture {facts.width}×{facts.height}: "
            "their shapes differ",
            code="mask_size",
            hint="a mask covers the whole picture, upright, in any size of the same shape",
        )
    return path

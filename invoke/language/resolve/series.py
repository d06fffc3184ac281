"""The series of pictures of one part: `-n` seeds, variations of a seed's noise, or a picture redrawn repeatedly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from invoke.errors import RequestError
from invoke.language.plan import Planned
from invoke.language.seeds import DrawSeed
from invoke.language.switches import in_force
from invoke.request import LARGEST_SEED, Request


@dataclass(frozen=True, slots=True)
class Series:
    """`count` pictures, computed on demand."""

    count: int
    picture: Callable[[int], Planned]


def pictures_of(first: Planned, settings: Mapping[str, Any], draw_seed: DrawSeed, columns: Mapping[str, int]) -> Series:
    """`first`, and the further pictures of `-n`, `-v` and `--drift`. Raises RequestError."""
    count, amount = in_force("iterations", settings), in_force("variation_amount", settings)
    if amount == 0:
        return repeated(first, count)
    if first.mode == "txt2img":
        return varied(first, amount, [draw_seed() for _ in range(count)])
    if first.request.outcrop:
        raise RequestError("-c and -v cannot be combined", code="bad_request", column=columns.get("outcrop"))
    return passed_back(first, amount, count, drift=in_force("drift", settings))


def repeated(first: Planned, count: int) -> Series:
    """The same picture with consecutive seeds."""
    return Series(count, partial(_reseeded, first))


def varied(first: Planned, amount: float, fresh: Sequence[int]) -> Series:
    """Text-to-image: the seed's noise, interpolated (slerp) by `amount` towards that of each fresh seed."""
    return Series(len(fresh), partial(_varied, first, amount, fresh))


def passed_back(first: Planned, amount: float, count: int, *, drift: bool) -> Series:
    """The first picture, then `count` redraws of it (with `drift`: of the previous one) at strength `amount`."""
    return Series(count + 1, partial(_passed_back, first, amount, drift))


def joined(series: Sequence[Series]) -> Series:
    """Concatenate series of equal length."""
    return Series(sum(one.count for one in series), partial(_at, series))


def labelled(series: Series, label: str) -> Series:
    """The same pictures with a label."""
    return Series(series.count, partial(_labelled, series, label)) if label else series


def followed(first: Series, then: Series) -> Series:
    """A chain: each picture of `first` is followed by the pictures of `then`, which start from it.

    `then` follows the first picture of `first`; after the others, seeds are shifted.
    """
    return Series(first.count * (1 + then.count), partial(_followed, first, then))


def _followed(first: Series, then: Series, index: int) -> Planned:
    group = 1 + then.count
    which, inside = divmod(index, group)
    parent = first.picture(which)
    if inside == 0:
        return parent if parent.source is None else replace(parent, source=parent.source * group)
    child = then.picture(inside - 1)
    root, shift = first.picture(0).request, which * then.count
    source = None if child.source is None else child.source + which * group + 1
    return replace(child, request=_rooted(child.request, root, parent.request, shift), source=source)


def _rooted(request: Request, old: Request, new: Request, shift: int) -> Request:
    """Replace `old` in the chain of `request` with `new`, and raise the seeds after it by `shift`."""
    if request == old:
        return new
    assert request.before is not None
    before = _rooted(request.before, old, new, shift)
    return replace(request, init_image=before, seed=(request.seed + shift) % (LARGEST_SEED + 1))


def _labelled(series: Series, label: str, index: int) -> Planned:
    return replace(series.picture(index), label=label)


def _reseeded(first: Planned, index: int) -> Planned:
    seed = (first.request.seed + index) % (LARGEST_SEED + 1)
    return replace(first, request=replace(first.request, seed=seed))


def _varied(first: Planned, amount: float, fresh: Sequence[int], index: int) -> Planned:
    variations = (*first.request.variations, (fresh[index], amount))
    return replace(first, request=replace(first.request, variations=variations))


def _passed_back(first: Planned, amount: float, drift: bool, index: int) -> Planned:
    if index == 0:
        return first
    again = replace(_reseeded(first, index).request, strength=amount, mask_image=None, text_mask=None)
    again = replace(again, strength_map=None, soft=False)
    return Planned(again, "img2img", (again.points,), first.upscale_steps, source=index - 1 if drift else 0)


def _at(series: Sequence[Series], index: int) -> Planned:
    which, inside = divmod(index, series[0].count)
    planned = series[which].picture(inside)
    if planned.source is None:
        return planned
    return replace(planned, source=planned.source + index - inside)

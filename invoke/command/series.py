"""The pictures of one setting: `-n` seeds, variations of a seed's noise, or a picture passed back to itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from invoke.command.plan import Planned
from invoke.request import LARGEST_SEED, steps_left


@dataclass(frozen=True, slots=True)
class Series:
    """`count` pictures, made when asked for."""

    count: int
    picture: Callable[[int], Planned]


def repeated(first: Planned, count: int) -> Series:
    """The seed, the next one, and so on."""
    return Series(count, partial(_reseeded, first))


def varied(first: Planned, amount: float, fresh: Sequence[int]) -> Series:
    """Text-to-image: the seed's noise, slerped by `amount` towards each of the fresh seeds'."""
    return Series(len(fresh), partial(_varied, first, amount, fresh))


def passed_back(first: Planned, amount: float, count: int, *, drift: bool) -> Series:
    """The first picture, then its result (with drift: the one before) `count` times more at strength `amount`."""
    return Series(count + 1, partial(_passed_back, first, amount, drift))


def joined(series: Sequence[Series]) -> Series:
    """Series of one length, one behind the other."""
    return Series(sum(one.count for one in series), partial(_at, series))


def _reseeded(first: Planned, index: int) -> Planned:
    seed = (first.request.seed + index) % (LARGEST_SEED + 1)
    return replace(first, request=replace(first.request, seed=seed))


def _varied(first: Planned, amount: float, fresh: Sequence[int], index: int) -> Planned:
    variations = (*first.request.variations, (fresh[index], amount))
    return replace(first, request=replace(first.request, variations=variations))


def _passed_back(first: Planned, amount: float, drift: bool, index: int) -> Planned:
    if index == 0:
        return first
    again = replace(_reseeded(first, index).request, strength=amount, mask_image=None)
    points = steps_left(again.steps, amount)
    return Planned(again, "img2img", (points,), source=index - 1 if drift else 0)


def _at(series: Sequence[Series], index: int) -> Planned:
    which, inside = divmod(index, series[0].count)
    planned = series[which].picture(inside)
    if planned.source is None:
        return planned
    return replace(planned, source=planned.source + index - inside)

"""Resolves a draft to a plan, part by part; each part of a chain starts from the pictures of the previous one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from itertools import chain
from typing import Any

from invoke.errors import RequestError
from invoke.language.parse import THEN, Draft
from invoke.language.plan import Output, Plan, Planned
from invoke.language.presets import expand
from invoke.language.render import NO_DEFAULTS, part_words, render_switch
from invoke.language.resolve import summary
from invoke.language.resolve.line_context import LineContext
from invoke.language.resolve.part import PartResolver
from invoke.language.resolve.prompt_checks import DRAWN
from invoke.language.resolve.series import Series, followed, joined, labelled
from invoke.language.resolve.sizes import multiple_of
from invoke.language.resolve.sweep import (
    PRESET_AXIS,
    Axis,
    choose,
    combinations,
    label_of,
    read_axes,
    refuse_idle,
    sheet_labels,
)
from invoke.language.switches import by_field, by_name, in_force
from invoke.request import Request


def resolve(draft: Draft, context: LineContext) -> Plan:
    """Plan `draft` in `context`.

    Raises RequestError, PictureError or ModelError, with the column if a single word is the cause.
    """
    parts = _check_chain(expand(draft, context.presets))
    read: list[_Read] = []
    pictures = _pictures(parts, context, None, read)
    resolvers = [resolver for part in read for resolver in part.resolvers]
    labels, columns = sheet_labels(read[0].axes)
    return Plan(
        draft,
        pictures.count,
        partial(_drawn, pictures, [part.resolvers[0] for part in read]),
        _output(parts[-1], context),
        summary.once(_numbered(read)),
        summary.once(
            chain(summary.overruled(draft), *(part.notes for part in parts), *(one.notes for one in resolvers))
        ),
        labels,
        columns,
        line=_complete(read),
        sizes_and_steps=tuple(_sizes_and_steps(part) for part in read),
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """One part of a chain, with a resolver for each combination of swept values."""

    axes: tuple[Axis, ...]
    resolvers: Sequence[PartResolver]
    typed: Mapping[str, Any]
    """Long name → value, from the line and the defaults."""
    draft: Draft
    """The draft as typed, before choosing a value of each axis."""


SERIES = ("iterations", "variation_amount", "drift", "sweep", "wild")
"""Switches that make several pictures from one line."""
_DECIDED_BY = {
    "init_img": ("width", "height"),
    "model": ("width", "height", "steps", "guidance_scale", "scheduler"),
}
"""Field → switch from which its default follows. If that switch is swept, the field has no common value."""


def _complete(read: Sequence[_Read]) -> str:
    """The line with all defaults applied: it makes all its pictures, and their sheet, again."""
    return f" {THEN} ".join(" ".join(_part_words(part)) for part in read)


def _part_words(part: _Read) -> Iterator[str]:
    resolver, axes = part.resolvers[0], {axis.name for axis in part.axes}
    request = replace(resolver.first, prompt=part.draft.prompt or "")
    decided = {field for axis in axes for field in _DECIDED_BY.get(axis, ())}
    if PRESET_AXIS in axes:
        decided = by_field().keys() - {"seed", "prompt"}
    loose = {field for field in decided if by_field()[field].name not in part.typed}
    if "init_img" in axes:
        request = replace(request, init_image=part.typed["init_img"])
    words = part_words(request, loose)
    yield from words if part.draft.prompt is not None or "sweep" not in part.typed else words[1:]
    for name in (*SERIES, *(("fit", "exact_steps") if loose else ())):
        row, value = by_name()[name], resolver.settings.get(name)
        if value not in (None, row.default):
            yield from (word for one in row.occurrences(value) for word in render_switch(row, one))
    if resolver.settings.get("grid"):
        yield "--grid"
    yield NO_DEFAULTS


def _numbered(read: Sequence[_Read]) -> Iterator[str]:
    """The summary of each part, with its number if there are several."""
    for number, part in enumerate(read, 1):
        for line in dict.fromkeys(line for resolver in part.resolvers for line in resolver.summary):
            yield line if len(read) == 1 else f"{number}. {line}"


def _sizes_and_steps(part: _Read) -> tuple[str, str]:
    sizes, steps = zip(*(resolver.size_and_steps for resolver in part.resolvers), strict=True)
    return ", ".join(dict.fromkeys(sizes)), ", ".join(dict.fromkeys(steps))


def _check_chain(draft: Draft) -> tuple[Draft, ...]:
    parts = draft.parts
    for index, part in enumerate(parts if len(parts) > 1 else ()):
        if index > 0 and "init_img" in part.switches:
            raise RequestError(
                "after |> a part starts from the picture of the previous part: omit -I",
                column=part.columns["init_img"],
            )
        if "sweep" in part.switches:
            raise RequestError("--sweep and |> cannot be combined", code="bad_sweep", column=part.columns["sweep"])
        back = index > 0 or "init_img" in part.switches
        if back and index < len(parts) - 1 and part.switches.get("variation_amount"):
            raise RequestError(
                "-v with an init picture cannot be followed by |>", column=part.columns["variation_amount"]
            )
    return parts


def _pictures(parts: tuple[Draft, ...], context: LineContext, before: Planned | None, read: list[_Read]) -> Series:
    """The pictures of a chain whose first part starts from `before`; every part is appended to `read`."""
    draft, *rest = parts
    settings = _given(draft, context)
    refuse_pending(draft, settings)
    axes = read_axes(draft, settings)
    if axes and "seed" not in settings:
        settings["seed"] = context.draw_seed()  # one seed for all, so that only the swept values differ
    drafts = [choose(draft, chosen, context.presets) for chosen in combinations(axes)]
    swept = [settings | dict(one.switches) for one in drafts]
    multiple = cache(partial(multiple_of, swept, context))
    resolvers = [PartResolver(one, context, own, before, multiple) for one, own in zip(drafts, swept, strict=True)]
    labels = [label_of(chosen) for chosen in combinations(axes)]
    series = joined([labelled(resolver.series(), label) for resolver, label in zip(resolvers, labels, strict=True)])
    refuse_idle(axes, [resolver.ineffective for resolver in resolvers], draft.values.get("sweep"))
    read.append(_Read(axes, resolvers, settings, draft))
    return followed(series, _pictures(tuple(rest), context, series.picture(0), read)) if rest else series


def _drawn(series: Series, parts: Sequence[PartResolver], index: int) -> Planned:
    """The picture at `index`, with the texts that its seed draws (`--wild`) in all parts of its chain."""
    planned = series.picture(index)
    request = _draw_all(planned.request, parts)
    if request is planned.request:
        return planned
    template = {name: text for name in DRAWN if (text := getattr(planned.request, name)) != getattr(request, name)}
    return replace(planned, request=request, template=template)


def _draw_all(request: Request, parts: Sequence[PartResolver]) -> Request:
    before = request.before
    if before is not None and (drawn := _draw_all(before, parts)) is not before:
        request = replace(request, init_image=drawn)
    return parts[_depth(request)].drawn(request)


def _depth(request: Request) -> int:
    return 0 if request.before is None else 1 + _depth(request.before)


def _output(draft: Draft, context: LineContext) -> Output:
    settings = {"save_intermediates": context.save_intermediates, **_given(draft, context), **draft.chain_switches}
    return Output(**{field.name: in_force(field.name, settings) for field in fields(Output)})


def _given(draft: Draft, context: LineContext) -> dict[str, Any]:
    """The settings in force: the line's, else the session's, else the launch's."""
    shared = draft.switches.get("defaults", True)
    defaults = {name: value for name, value in context.defaults.items() if shared or by_name()[name].group == "output"}
    return defaults | dict(draft.switches)


def refuse_pending(draft: Draft, settings: Mapping[str, Any]) -> None:
    """Raise RequestError for the first switch in `settings` that is not implemented yet."""
    for name, value in settings.items():
        row = by_name()[name]
        if row.pending and value is not False and value != row.default:
            raise RequestError(
                f"{row.spelling}: {row.pending} is not supported yet",
                code="not_yet",
                column=draft.columns.get(name),
            )

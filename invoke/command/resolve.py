"""A draft → a plan: every gap filled, by presence of the key, in this one place.

A value is what the line says, else what the sitting (`!set`) or the launch says, else the model's, else the
table's. An explicit 0 is an answer.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from invoke.command.axes import combinations, read_axes, sheet_labels
from invoke.command.draft import Draft
from invoke.command.plan import Output, Plan, Planned
from invoke.errors import InvokeError, RequestError
from invoke.models import ModelSpec, Registry
from invoke.pictures import PictureFacts, describe, target_size
from invoke.request import LARGEST_SEED, Mode, Request, steps_for, steps_left
from invoke.samplers import SAMPLERS
from invoke.switch_types import render_number
from invoke.switches import Switch, by_field, by_name

SEEN = 0.001
"""A smaller transparent share than this is taken for stray pixels."""
FEW_STEPS = 3
MOST_TOLD = 12
SMALLEST_SIDE = 64

_REFERENCE = re.compile(r"-[1-9][0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a line is read against."""

    models: Registry
    model: str
    """The one in use, for lines that name none."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Long name → value, of the launch and the sitting."""
    newest: Sequence[tuple[str, int]] = ()
    """(path, seed) of the pictures made in this sitting, oldest first."""
    draw_seed: Callable[[], int]
    save_intermediates: int = 0
    """For lines that do not say."""


def resolve(draft: Draft, world: World) -> Plan:
    """The plan of `draft` in `world`.

    Raises RequestError, PictureError or ModelError, with the column where one word is to blame.
    """
    given = _given(draft, world)
    _refuse_pending(draft, given)
    axes = read_axes(draft, given)
    if axes and "seed" not in given:
        given["seed"] = world.draw_seed()  # one for all values, so that only they differ
    each = [_Resolver(draft, world, given | chosen) for chosen in combinations(axes)]
    series = [resolver.series() for resolver in each]
    labels, columns = sheet_labels(axes)
    return Plan(
        draft,
        sum(one.count for one in series),
        partial(_at, series),
        each[0].output(),
        _told([line for resolver in each for line in resolver.story]),
        _told([*draft.notes, *(note for resolver in each for note in resolver.notes)]),
        labels,
        columns,
    )


def _given(draft: Draft, world: World) -> dict[str, Any]:
    """What is said, by whom ever: the line wins over the sitting and the launch."""
    shared = draft.switches.get("defaults", True)
    defaults = {
        name: value for name, value in world.defaults.items() if shared or by_name()[name].group == "output"
    }
    return defaults | dict(draft.switches)


def _refuse_pending(draft: Draft, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        row = by_name()[name]
        if row.pending and value is not False and value != row.default:
            raise RequestError(
                f"{row.spelling}: {row.pending} cannot be done yet",
                code="not_yet",
                column=draft.columns.get(name),
            )


def _told(lines: Sequence[str]) -> tuple[str, ...]:
    """Each line once, and not more than one wants to read."""
    once = tuple(dict.fromkeys(lines))
    return once if len(once) <= MOST_TOLD else (*once[:MOST_TOLD], f"… and {len(once) - MOST_TOLD} more")


@dataclass(frozen=True, slots=True)
class _Series:
    """Pictures of one setting: of `-n`, or of `-v`."""

    count: int
    picture: Callable[[int], Planned]


def _at(series: Sequence[_Series], index: int) -> Planned:
    """The picture at `index` when all series, which are of one length, stand one behind the other."""
    which, inside = divmod(index, series[0].count)
    planned = series[which].picture(inside)
    if planned.source is None:
        return planned
    return replace(planned, source=planned.source + index - inside)


class _Resolver:
    """Fills the gaps of one setting: `given` names one value for each switch."""

    def __init__(self, draft: Draft, world: World, given: dict[str, Any]) -> None:
        self.draft = draft
        self.world = world
        self.given = given
        self.story: list[str] = []
        self.notes: list[str] = []

    def value(self, name: str) -> Any:
        return self.given[name] if name in self.given else by_name()[name].default

    def series(self) -> _Series:
        """The pictures of this setting; fills `story` and `notes`."""
        spec = self._model()
        facts = self._init_picture()
        width, height = self._size(spec, facts)
        first = self._first(spec, facts, width, height)
        planned = Planned(first, self._mode(first, facts), self._points(first, facts))
        self._tell(planned, facts, spec)
        self._note_without_effect(planned)
        return self._pictures(planned)

    # what there is

    def _model(self) -> ModelSpec:
        with _Blame(self.draft, "model"):
            return self.world.models.find(self.given.get("model", self.world.model))

    def _init_picture(self) -> PictureFacts | None:
        if "init_img" not in self.given:
            return None
        with _Blame(self.draft, "init_img"):
            path = self._picture_path(self.given["init_img"], "init_img")
            self.given["init_img"] = path
            facts = describe(path)
        self.notes += [f"{path}: {note}" for note in facts.notes]
        with _Blame(self.draft, "init_mask"):
            self._check_mask(facts)
        return facts

    def _check_mask(self, facts: PictureFacts) -> None:
        if "init_mask" not in self.given:
            return
        path = self._picture_path(self.given["init_mask"], "init_mask")
        self.given["init_mask"] = path
        mask = describe(path)
        if (mask.width, mask.height) != (facts.width, facts.height):
            raise RequestError(
                f"the mask {path} is {mask.width}×{mask.height}, the init picture {facts.width}×{facts.height}",
                code="mask_size",
                hint="give both the same size",
            )

    def _picture_path(self, typed: str, name: str) -> str:
        if _REFERENCE.fullmatch(typed):
            return self._made(int(typed), name)[0]
        if typed == "-":
            raise RequestError("reading the picture from stdin cannot be done yet", code="not_yet")
        path = Path(typed).expanduser()
        there = Path(self.value("outdir")) / path
        if not path.is_absolute() and not path.exists() and there.exists():
            return str(there)
        return str(path)

    def _made(self, back: int, name: str) -> tuple[str, int]:
        """The picture that was made `back` (−1, −2 …) pictures ago."""
        if -back > len(self.world.newest):
            made = len(self.world.newest)
            raise RequestError(
                f"{by_name()[name].spelling} {back}: only {made} pictures were made in this sitting"
                if made
                else f"{by_name()[name].spelling} {back}: no picture was made in this sitting yet",
                code="no_such_picture",
                column=self.draft.columns.get(name),
            )
        return self.world.newest[back]

    # sizes

    def _size(self, spec: ModelSpec, facts: PictureFacts | None) -> tuple[int, int]:
        asked = {name: self._rounded(name, spec) for name in ("width", "height") if name in self.given}
        if facts is None:
            return asked.get("width", spec.width), asked.get("height", spec.height)
        width, height = target_size(
            facts.width,
            facts.height,
            asked_width=asked.get("width"),
            asked_height=asked.get("height"),
            fit=self.value("fit"),
            multiple=spec.multiple,
        )
        if min(width, height) < SMALLEST_SIDE:
            raise RequestError(
                f"the init picture would be {width}×{height}, each side needs at least {SMALLEST_SIDE} pixels",
                code="picture_too_small",
                column=self.draft.columns.get("init_img"),
                hint=f"say the size: -W {spec.width} -H {spec.height}",
            )
        return width, height

    def _rounded(self, name: str, spec: ModelSpec) -> int:
        asked: int = self.given[name]
        rounded = (asked + spec.multiple // 2) // spec.multiple * spec.multiple
        if rounded != asked:
            row = by_name()[name]
            self.notes.append(
                f"{row.spelling} {asked} → {rounded}: {spec.name} makes multiples of {spec.multiple}"
            )
        return rounded

    # the first picture

    def _first(self, spec: ModelSpec, facts: PictureFacts | None, width: int, height: int) -> Request:
        known: dict[str, Any] = {
            "prompt": self.draft.prompt or "",
            "model": spec.name,
            "width": width,
            "height": height,
            "scheduler": self.given.get("sampler", spec.sampler),
            "seed": self._seed(),
        }
        rest = {name: self._relevant(row, facts) for name, row in by_field().items() if name not in known}
        request = Request(**known, **rest)
        if self.value("exact_steps") and facts is not None and request.strength > 0:
            request = replace(request, steps=self._exact(request))
        return request

    def _relevant(self, row: Switch, facts: PictureFacts | None) -> Any:
        """The row's value; its default where it can mean nothing, so that equal pictures have equal requests."""
        if row.needs and facts is None:
            return row.default
        return self.value(row.name)

    def _seed(self) -> int:
        if "seed" not in self.given:
            return self.world.draw_seed()
        seed: int = self.given["seed"]
        return seed if seed >= 0 else self._made(seed, "seed")[1]

    def _exact(self, request: Request) -> int:
        steps = steps_for(request.steps, request.strength)
        if steps > 1000:
            raise RequestError(
                f"--exact_steps: {request.steps} steps at strength {render_number(request.strength)} "
                f"need a schedule of {steps}, the longest is 1000",
                code="schedule_too_long",
                column=self.draft.columns.get("exact_steps"),
                hint="raise -f or lower -s",
            )
        return steps

    def _mode(self, request: Request, facts: PictureFacts | None) -> Mode:
        if facts is None:
            return "txt2img"
        if request.mask_image is not None or facts.transparent >= SEEN:
            return "inpaint"
        return "img2img"

    def _points(self, request: Request, facts: PictureFacts | None) -> int:
        return steps_left(request.steps, request.strength) if facts else request.steps

    # the others

    def _pictures(self, first: Planned) -> _Series:
        count, amount = self.value("iterations"), self.value("variation_amount")
        if amount == 0:
            return _Series(count, partial(_reseeded, first))
        if first.mode == "txt2img":
            fresh = [self.world.draw_seed() for _ in range(count)]
            return _Series(count, partial(_varied, first, amount, fresh))
        points = steps_left(first.request.steps, amount)
        drift = self.value("drift")
        back = "each picture is passed on" if drift else "the first picture is passed back"
        times = "once" if count == 1 else f"{count} times"
        self.story.append(f"variations  {back} {times} at strength {render_number(amount)}")
        return _Series(count + 1, partial(_passed_back, first, amount, points, drift))

    def output(self) -> Output:
        kept = self.given.get("save_intermediates", self.world.save_intermediates)
        return Output(
            outdir=self.value("outdir"),
            png_compression=self.value("png_compression"),
            fnformat=self.value("fnformat"),
            grid=self.value("grid"),
            save_intermediates=kept,
            strip=self.value("strip"),
            gif=self.value("gif"),
            ai_label=self.value("ai_label"),
        )

    # what is said

    def _tell(self, planned: Planned, facts: PictureFacts | None, spec: ModelSpec) -> None:
        request = planned.request
        size = f"{request.width}×{request.height}"
        if facts is None:
            self.story.append(f"{planned.mode}  {size}")
        else:
            name = Path(facts.path).name
            self.story.append(f"{planned.mode}  {name} {facts.width}×{facts.height} → {size}")
        self.story.append(_tell_steps(planned))
        if planned.mode == "inpaint" and facts is not None:
            self.story.append(_tell_hole(request, facts))
        if facts is not None and 0 < facts.transparent < SEEN and request.mask_image is None:
            self.notes.append(
                f"{facts.path}: less than 0.1 % of the picture is transparent, which is ignored"
            )
        if request.width * request.height < spec.width * spec.height:
            self.notes.append(
                f"{size} is below {spec.name}'s own {spec.width}×{spec.height} and results suffer: "
                f"type -W{spec.width} -H{spec.height}"
            )
        if facts is not None and 0 < planned.points <= FEW_STEPS and planned.points < request.steps:
            few = f"only {planned.points} step{'s are' if planned.points > 1 else ' is'} taken"
            self.notes.append(f"{few}: raise -s, or type --exact_steps")

    def _note_without_effect(self, planned: Planned) -> None:
        for name in self.draft.switches:
            if (why := self._without_effect(by_name()[name], planned)) is not None:
                self.notes.append(f"{_short(by_name()[name])} has no effect {why}")

    def _without_effect(self, row: Switch, planned: Planned) -> str | None:
        request, typed = planned.request, self.draft.switches
        if typed[row.name] is False:
            return None
        if row.needs and planned.mode == "txt2img":
            return "without -I"
        if row.needs == "hole" and planned.mode != "inpaint":
            return "without -M or a transparent part of the init picture"
        if row.name == "fit" and not {"width", "height"} & self.given.keys():
            return "without -W or -H"
        if row.name == "karras" and not SAMPLERS[request.scheduler].sigmas:
            return f"with {request.scheduler}"
        if row.name == "negative_prompt" and request.guidance_scale <= 1:
            return "without guidance (-C above 1)"
        if row.name == "drift" and self.value("variation_amount") == 0:
            return "without -v"
        if row.name == "strip" and planned.points == 0:
            return "at strength 0"
        return None


class _Blame:
    """Gives errors raised inside the column of the switch called `name`."""

    def __init__(self, draft: Draft, name: str) -> None:
        self.column = draft.columns.get(name)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvokeError) and error.column is None:
            error.column = self.column


def _reseeded(first: Planned, index: int) -> Planned:
    seed = (first.request.seed + index) % (LARGEST_SEED + 1)
    return replace(first, request=replace(first.request, seed=seed))


def _varied(first: Planned, amount: float, fresh: Sequence[int], index: int) -> Planned:
    """Text-to-image: the seed's noise, slerped by `amount` towards a fresh seed's."""
    variations = (*first.request.variations, (fresh[index], amount))
    return replace(first, request=replace(first.request, variations=variations))


def _passed_back(first: Planned, amount: float, points: int, drift: bool, index: int) -> Planned:
    """Image-to-image: the first result (with drift: the one before) once more, at strength `amount`."""
    if index == 0:
        return first
    again = replace(_reseeded(first, index).request, strength=amount, mask_image=None)
    return Planned(again, "img2img", points, source=index - 1 if drift else 0)


def _tell_steps(planned: Planned) -> str:
    request = planned.request
    if planned.mode == "txt2img":
        told = f"steps {request.steps}"
    else:
        told = f"steps {request.steps} × {render_number(request.strength)} → {planned.points} taken"
    if planned.steps_taken != planned.points:
        told += f", in {planned.steps_taken} calls of the model ({request.scheduler})"
    return told


def _tell_hole(request: Request, facts: PictureFacts) -> str:
    if request.mask_image is not None:
        kept = "white" if request.invert_mask else "black"
        return f"inpainting where {Path(request.mask_image).name} is {kept}"
    if request.invert_mask:
        return f"inpainting {_percent(1 - facts.transparent)} of the picture (its opaque part)"
    return f"inpainting {_percent(facts.transparent)} of the picture (its transparent part)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %"


def _short(row: Switch) -> str:
    return f"-{row.short[0]}" if row.short else f"--{row.name}"

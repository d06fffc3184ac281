"""A draft → a plan: every gap filled, by presence of the key, in this one place.

A value is what the line says, else what the sitting (`!set`) or the launch says, else the model's, else the
table's. An explicit 0 is an answer.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from invoke.command import tell
from invoke.command.axes import combinations, read_axes, sheet_labels
from invoke.command.draft import Draft
from invoke.command.plan import Output, Plan, Planned
from invoke.command.series import Series, joined, passed_back, repeated, varied
from invoke.errors import InvokeError, RequestError
from invoke.models import ModelSpec, Registry
from invoke.pictures import PictureFacts, describe, first_pass_size, target_size
from invoke.request import Mode, Request, steps_for, steps_left
from invoke.switch_types import render_number
from invoke.switches import Switch, by_field, by_name

SIDES = range(64, 8192 + 1)
OUTCROP_STRENGTH = 0.9
"""What `-c` redraws with where nothing is said: little of a blurred rim is worth keeping."""

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
    refuse_pending(draft, given)
    axes = read_axes(draft, given)
    if axes and "seed" not in given:
        given["seed"] = world.draw_seed()  # one for all values, so that only they differ
    each = [_Resolver(draft, world, given | chosen) for chosen in combinations(axes)]
    pictures = joined([resolver.series() for resolver in each])
    labels, columns = sheet_labels(axes)
    return Plan(
        draft,
        pictures.count,
        pictures.picture,
        each[0].output(),
        tell.once(line for resolver in each for line in resolver.story),
        tell.once(chain(draft.notes, *(resolver.notes for resolver in each))),
        labels,
        columns,
    )


def _given(draft: Draft, world: World) -> dict[str, Any]:
    """What is said, by whom ever: the line wins over the sitting and the launch."""
    shared = draft.switches.get("defaults", True)
    defaults = {name: value for name, value in world.defaults.items() if shared or by_name()[name].group == "output"}
    return defaults | dict(draft.switches)


def refuse_pending(draft: Draft, given: Mapping[str, Any]) -> None:
    """Raises RequestError for the first switch of `given` that this version cannot do."""
    for name, value in given.items():
        row = by_name()[name]
        if row.pending and value is not False and value != row.default:
            raise RequestError(
                f"{row.spelling}: {row.pending} cannot be done yet",
                code="not_yet",
                column=draft.columns.get(name),
            )


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

    def series(self) -> Series:
        """The pictures of this setting; fills `story` and `notes`."""
        spec = self._model()
        facts = self._init_picture()
        if self.value("outcrop"):
            self.given.setdefault("strength", OUTCROP_STRENGTH)
        width, height = self._size(spec, facts)
        first = self._first(spec, facts, width, height)
        planned = Planned(first, self._mode(first, facts), self._passes(first, facts))
        self.story += tell.story(planned, facts, spec)
        self.notes += tell.warnings(planned, facts, spec)
        self.notes += tell.without_effect(self.draft.switches, self.given, planned)
        return self._series(planned)

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
        if abs(mask.width * facts.height - mask.height * facts.width) > max(mask.width, mask.height):
            raise RequestError(
                f"the mask {path} is {mask.width}×{mask.height}, the init picture {facts.width}×{facts.height}: "
                "their shapes differ",
                code="mask_size",
                hint="a mask covers the whole picture, upright, in any size of the same shape",
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
        if width not in SIDES or height not in SIDES:
            raise RequestError(
                f"the picture would be {width}×{height}, each side needs {SIDES.start} to {SIDES.stop - 1} pixels",
                code="bad_size",
                column=self.draft.columns.get("init_img"),
                hint=f"say the size: -W {spec.width} -H {spec.height}",
            )
        return width, height

    def _rounded(self, name: str, spec: ModelSpec) -> int:
        asked: int = self.given[name]
        rounded = (asked + spec.multiple // 2) // spec.multiple * spec.multiple
        if rounded != asked:
            row = by_name()[name]
            self.notes.append(f"{row.spelling} {asked} → {rounded}: {spec.name} makes multiples of {spec.multiple}")
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
        if "init_color" in self.given:
            with _Blame(self.draft, "init_color"):
                self.given["init_color"] = self._picture_path(self.given["init_color"], "init_color")
                describe(self.given["init_color"])
        rest = {name: self._relevant(row, facts) for name, row in by_field().items() if name not in known}
        request = self._hires(Request(**known, **rest), spec, facts)
        if self.value("exact_steps") and facts is not None and request.strength > 0:
            request = replace(request, steps=self._exact(request))
        return request

    def _relevant(self, row: Switch, facts: PictureFacts | None) -> Any:
        """The row's value; its default where it can mean nothing, so that equal pictures have equal requests."""
        if row.needs and facts is None and not (row.name == "strength" and self.value("hires_fix")):
            return row.default
        return self.value(row.name)

    def _hires(self, request: Request, spec: ModelSpec, facts: PictureFacts | None) -> Request:
        """`request` with two passes only where the first one is smaller."""
        if not request.hires_fix:
            return request
        own = spec.width * spec.height
        size = request.width, request.height
        if facts is None and first_pass_size(*size, own=own, multiple=spec.multiple) != size:
            return request
        if facts is None:
            self.notes.append(f"--hires_fix has no effect up to {spec.name}'s own size")
            request = replace(request, strength=by_name()["strength"].default)
        return replace(request, hires_fix=False)

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
        if request.mask_image is not None or request.outcrop or facts.transparent >= tell.SEEN:
            return "inpaint"
        return "img2img"

    def _passes(self, request: Request, facts: PictureFacts | None) -> tuple[int, ...]:
        left = steps_left(request.steps, request.strength)
        if facts is not None:
            return (left,)
        return (request.steps, left) if request.hires_fix else (request.steps,)

    # the others

    def _series(self, first: Planned) -> Series:
        count, amount = self.value("iterations"), self.value("variation_amount")
        if amount == 0:
            return repeated(first, count)
        if first.mode == "txt2img":
            return varied(first, amount, [self.world.draw_seed() for _ in range(count)])
        if first.request.outcrop:
            raise RequestError(
                "-c and -v cannot be combined", code="bad_request", column=self.draft.columns.get("outcrop")
            )
        drift = self.value("drift")
        back = "each picture is passed on" if drift else "the first picture is passed back"
        times = "once" if count == 1 else f"{count} times"
        self.story.append(f"variations  {back} {times} at strength {render_number(amount)}")
        return passed_back(first, amount, count, drift=drift)

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


class _Blame:
    """Gives errors raised inside the column of the switch called `name`."""

    def __init__(self, draft: Draft, name: str) -> None:
        self.column = draft.columns.get(name)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvokeError) and error.column is None:
            error.column = self.column

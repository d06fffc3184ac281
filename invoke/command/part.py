"""One part of a line, which most lines have only one of: every gap filled, by presence of the key.

A value is what the line says, else what the sitting (`!set`) or the launch says, else the model's, else the
table's. An explicit 0 is an answer.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from invoke import upscaling
from invoke.command import controls, embiggen, tell
from invoke.command.draft import Draft
from invoke.command.families import check_family
from invoke.command.parse import column_in_line
from invoke.command.plan import Output, Planned
from invoke.command.prompts import foreign, read_prompt
from invoke.command.series import Series, passed_back, repeated, varied
from invoke.command.wildcards import draw
from invoke.command.world import Blame, World, find_picture
from invoke.errors import CommandError, ModelError, RequestError
from invoke.models import ModelSpec
from invoke.pictures import PictureFacts, describe, first_pass_size, target_size
from invoke.request import AUTO, Mode, Request, steps_for, steps_left
from invoke.switch_types import TEXT_MASK_THRESHOLD, render_number
from invoke.switches import Switch, by_field, by_name, in_force

SIDES = range(64, 8192 + 1)
OUTCROP_STRENGTH = 0.9
"""What `-c` redraws with where nothing is said: little of a blurred rim is worth keeping."""
DRAWN = ("prompt", "negative_prompt")
"""The fields that `--wild` draws."""

_REFERENCE = re.compile(r"-[1-9][0-9]*")
_TRIGGER = re.compile(r"<[\w.-]+>")


class Part:
    """Fills the gaps of one setting: `given` names one value for each switch."""

    def __init__(self, draft: Draft, world: World, given: dict[str, Any], before: Planned | None = None) -> None:
        self.draft = draft
        self.before = before
        self.world = world
        self.given = given
        self.story: list[str] = []
        self.notes: list[str] = []

    def value(self, name: str) -> Any:
        return in_force(name, self.given)

    def series(self) -> Series:
        """The pictures of this setting; fills `story` and `notes`."""
        if not self.value("wild"):
            self.notes += self._checked(self.draft.prompt or "", self.value("negative_prompt"))
        spec = self.spec = self._model()
        for name, usual in (("steps", spec.steps), ("cfg_scale", spec.guidance_scale)):
            if usual:
                self.given.setdefault(name, usual)
        facts = self._init_picture()
        if self.value("outcrop"):
            self.given.setdefault("strength", OUTCROP_STRENGTH)
        if facts is not None and self.value("embiggen"):
            self.notes += embiggen.settle(self.given, self.draft.columns)
            facts = replace(facts, transparent=0.0)
        width, height = self._size(spec, facts)
        first = self._first(spec, facts, width, height)
        planned = Planned(first, self._mode(first, facts), self._passes(first, facts))
        self.story += [*tell.story(planned, facts, spec), *embiggen.story(first, spec)]
        self.notes += [*tell.warnings(planned, facts, spec), *controls.warnings(first)]
        self.notes += tell.without_effect(self.draft.switches, self.given, planned)
        series = self._series(planned)
        request = self.drawn(series.picture(0).request)
        if self.value("wild"):
            self.story += tell.drawing(first, request, series.count)
            self.notes += self._checked(request.prompt, request.negative_prompt)
        check_family(request, spec, self.draft.columns)
        return series

    def drawn(self, request: Request) -> Request:
        """`request` with the texts that its seed draws, where `--wild` says so. Raises as a line that says them."""
        if not self.value("wild"):
            return request
        texts = {name: self._draw(name, getattr(request, name), request.seed) for name in DRAWN}
        self._checked(**texts)
        drawn = replace(request, prompt=texts["prompt"], negative_prompt=texts["negative_prompt"])
        check_family(drawn, self.spec, self.draft.columns)
        return drawn

    def _draw(self, name: str, text: str, seed: int) -> str:
        try:
            return draw(text, seed, self.world.wildcards, salt=name)
        except RequestError as error:
            place = error.column or 0
            error.column = column_in_line(self.draft, place) if name == "prompt" else self.draft.columns.get(name)
            raise

    # what there is

    def _checked(self, prompt: str, negative_prompt: str) -> list[str]:
        """What is worth saying about the texts of a picture. Raises CommandError or ModelError."""
        try:
            loras = read_prompt(prompt, negative_prompt).loras
        except CommandError as error:
            if error.column is None:
                error.column = self.draft.columns.get("negative_prompt")
            elif prompt == (self.draft.prompt or ""):
                error.column = column_in_line(self.draft, error.column)
            else:
                error.column = column_in_line(self.draft, 0)
                error.message += f" (drawn: {prompt})"
            raise
        for name, _ in loras:
            try:
                self.world.models.find(name, "lora")
            except ModelError as error:
                typed = re.search(rf"Lora\(\s*{re.escape(name)}", self.draft.line)
                error.column = typed.start() if typed else None
                raise
        text = f"{prompt} {negative_prompt}"
        return [*foreign(text), *self._unknown_triggers(text)]

    def _unknown_triggers(self, text: str) -> Iterator[str]:
        known = {f"<{spec.name}>" for spec in self.world.models if spec.kind == "embedding"}
        known |= {trigger for spec in self.world.models for trigger in spec.triggers}
        for word in dict.fromkeys(_TRIGGER.findall(text)):
            if word not in known:
                yield f"{word}: no textual inversion has this trigger, it is read as letters (!triggers lists them)"

    def _model(self) -> ModelSpec:
        with Blame(self.draft, "refiner"):
            if "refiner" in self.given:
                self.world.models.find(self.given["refiner"][0])
        with Blame(self.draft, "model"):
            return self.world.models.find(self.given.get("model", self.world.model))

    def _init_picture(self) -> PictureFacts | None:
        if self.before is not None:
            self.given["init_img"] = self.before.request
            width, height = self.before.request.finished_size
            facts = PictureFacts("the picture before", width, height, transparent=0.0, erased=False)
            with Blame(self.draft, "init_mask"):
                self._check_mask(facts)
            return facts
        if "init_img" not in self.given:
            return None
        with Blame(self.draft, "init_img"):
            path = self._picture_path(self.given["init_img"], "init_img")
            self.given["init_img"] = path
            facts = describe(path)
        self.notes += [f"{path}: {note}" for note in facts.notes]
        with Blame(self.draft, "init_mask"):
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
            raise RequestError(
                f"{by_name()[name].spelling} -: no picture can come through the standard input here",
                code="stdin_taken",
                hint="for -I of one line it can: cat fire.png | invoke 'a fire -I -'",
            )
        return find_picture(typed, self.value("outdir"))

    def _made(self, back: int, name: str) -> tuple[str, int]:
        """The picture that was made `back` (−1, −2 …) pictures ago."""
        if -back > len(self.world.newest):
            made = len(self.world.newest)
            raise RequestError(
                f"{by_name()[name].spelling} {back}: only {made} pictures were made in this sitting"
                if made
                else f"{by_name()[name].spelling} {back}: no picture was made in this sitting yet",
                code="no_such_picture",
            )
        return self.world.newest[back]

    # sizes

    def _size(self, spec: ModelSpec, facts: PictureFacts | None) -> tuple[int, int]:
        multiple = self._multiple(spec, facts)
        asked = {name: self._rounded(name, spec, multiple) for name in ("width", "height") if name in self.given}
        if facts is None:
            return asked.get("width", spec.width), asked.get("height", spec.height)
        width, height = target_size(
            facts.width,
            facts.height,
            asked_width=asked.get("width"),
            asked_height=asked.get("height"),
            fit=self.value("fit"),
            multiple=multiple,
        )
        if width not in SIDES or height not in SIDES:
            raise RequestError(
                f"the picture would be {width}×{height}, each side needs {SIDES.start} to {SIDES.stop - 1} pixels",
                code="bad_size",
                column=self.draft.columns.get("init_img"),
                hint=f"say the size: -W {spec.width} -H {spec.height}",
            )
        return width, height

    def _multiple(self, spec: ModelSpec, facts: PictureFacts | None) -> int:
        """What sides are rounded to: the model's own multiple, unless it will not see the picture."""
        is_kept = facts is not None and self.value("strength") == 0 and self.value("variation_amount") == 0
        return 1 if is_kept else spec.multiple

    def _rounded(self, name: str, spec: ModelSpec, multiple: int) -> int:
        asked: int = self.given[name]
        rounded = (asked + multiple // 2) // multiple * multiple
        if rounded != asked:
            row = by_name()[name]
            self.notes.append(f"{row.spelling} {asked} → {rounded}: {spec.name} makes multiples of {multiple}")
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
            with Blame(self.draft, "init_color"):
                self.given["init_color"] = self._picture_path(self.given["init_color"], "init_color")
                describe(self.given["init_color"])
        if "control" in self.given:
            self.given["control"] = tuple(self._controls(spec, facts))
        rest = {name: self._relevant(row, facts) for name, row in by_field().items() if name not in known}
        request = self._hires(Request(**known, **rest), spec, facts)
        if self.value("exact_steps") and facts is not None and request.strength > 0:
            request = replace(request, steps=self._exact(request))
        if request.embiggen is not None:
            embiggen.check(request, spec, self.draft.columns)
        with Blame(self.draft, "upscale"):
            upscaling.check_size(request)
        return request

    def _controls(self, spec: ModelSpec, facts: PictureFacts | None) -> Iterator[tuple[str, str, float]]:
        for number, (name, image, scale) in enumerate(self.given["control"], start=1):
            with Blame(self.draft, f"control {number}"):
                control = controls.find_control(name, self.world.models, spec)
                yield control.name, self._control_picture(image, facts), scale

    def _control_picture(self, image: str, facts: PictureFacts | None) -> str:
        if image.startswith(AUTO):
            controls.check_detector(image, has_init=facts is not None)
            return image
        path = self._picture_path(image, "control")
        describe(path)
        controls.check_is_whole(path, is_tiled=bool(self.value("embiggen")))
        return path

    def _relevant(self, row: Switch, facts: PictureFacts | None) -> Any:
        """The row's value; its default where it can mean nothing, so that equal pictures have equal requests."""
        if row.name == "text_mask":
            return self._text_mask(facts)
        if row.name in {"upscale", "upscaler"}:
            return self._finish()[row.name]
        if row.name in {"facetool", "codeformer_fidelity"} and not self.value("facetool_strength"):
            return row.default
        if row.name == "facetool":
            return self._facetool()
        if row.needs and facts is None and not (row.name == "strength" and self.value("hires_fix")):
            return row.default
        return self.value(row.name)

    def _text_mask(self, facts: PictureFacts | None) -> tuple[str, float] | None:
        """Text and threshold where they say what is repainted: a mask and the picture's own transparency win."""
        typed = self.value("text_mask")
        if typed is None or facts is None or "init_mask" in self.given or facts.transparent >= tell.SEEN:
            return None
        return (*typed, TEXT_MASK_THRESHOLD)[:2]

    def _finish(self) -> dict[str, Any]:
        """How the picture is enlarged, as far as that means something."""
        typed = self.value("upscale")
        if typed is None or typed[0] == 1:
            return {"upscale": None, "upscaler": None}
        factor, strength = (*typed, upscaling.STRENGTH)[:2]
        if strength == 0:
            return {"upscale": (factor, strength), "upscaler": None}
        with Blame(self.draft, "upscaler"):
            named = self.value("upscaler")
            spec = self.world.models.find(named, "upscaler") if named else None
        with Blame(self.draft, "upscale"):
            upscaling.check_factor(factor, spec)
        return {"upscale": (factor, strength), "upscaler": spec.name if spec else None}

    def _facetool(self) -> str:
        """The model that repairs faces: the one that is named, else the first of the list."""
        with Blame(self.draft, "facetool" if "facetool" in self.draft.columns else "facetool_strength"):
            listed = (spec.name for spec in self.world.models if spec.kind == "face")
            named = self.value("facetool") or next(listed, None)
            if named is not None:
                return self.world.models.find(named, "face").name
            raise ModelError(
                "no model for faces is on the list",
                code="not_listed",
                hint="fetch GFPGANv1.4.pth from github.com/TencentARC/GFPGAN/releases, "
                "then: !optimize_model GFPGANv1.4.pth",
            )

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
        with Blame(self.draft, "seed"):
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
        said = request.mask_image is not None or request.text_mask is not None or request.outcrop
        if said or facts.transparent >= tell.SEEN:
            return "inpaint"
        return "img2img"

    def _passes(self, request: Request, facts: PictureFacts | None) -> tuple[int, ...]:
        left = steps_left(request.steps, request.strength)
        if request.embiggen is not None:
            return (left,) * embiggen.drawn(request, self.spec)
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
            intermediates=self.value("intermediates"),
            intermediates_decoder=self.value("intermediates_decoder"),
            strip=self.value("strip"),
            gif=self.value("gif"),
            ai_label=self.value("ai_label"),
            save_original=self.value("save_original"),
            log_tokenization=self.value("log_tokenization"),
        )

"""Resolves one part of a chain (most lines have only one): fills every gap, by presence of the key.

A value comes from the line, else from the session (`!set`), the launch, the model, or the table, in this order. An
explicit 0 counts as given.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from invoke.images import PictureFacts, Transparency, describe
from invoke.language.parse import Draft
from invoke.language.plan import Planned
from invoke.language.resolve import controls, instruction, ip_adapters, postprocess, summary
from invoke.language.resolve.init_image import (
    Start,
    check_known,
    find_start,
    picture_path,
    recalled,
    refuse_untypable,
    text_mask,
)
from invoke.language.resolve.limits import check_family, check_loras, check_refiner
from invoke.language.resolve.line_context import ErrorColumn, LineContext
from invoke.language.resolve.postprocess import finish
from invoke.language.resolve.prompt_checks import check_prompt, check_texts, draw_texts, unknown_words
from invoke.language.resolve.series import Series, pictures_of
from invoke.language.resolve.sizes import check_canvas, drawn_size, rounding, size_advice
from invoke.language.resolve.steps import planned, with_exact_steps, without_idle_pass
from invoke.language.switches import Switch, by_field, by_name, in_force
from invoke.models import ModelSpec, upscaling
from invoke.models.spec import usual
from invoke.request import Request

OUTCROP_STRENGTH = 0.9
"""Default strength of `-c`: little of a blurred rim is worth keeping."""


class PartResolver:
    """Resolves one part with one value for each switch (`settings`)."""

    def __init__(
        self,
        draft: Draft,
        context: LineContext,
        settings: dict[str, Any],
        before: Planned | None,
        multiple: Callable[[bool], int],
    ) -> None:
        """`multiple` gives the number to whose multiples all sides are rounded, with or without an init picture."""
        self.draft = draft
        self.before = before
        self.context = context
        self.settings = settings
        self.multiple = multiple
        self.summary: list[str] = []
        self.size_and_steps = "", ""
        """The summary's words for them."""
        self.notes: list[str] = []
        self.ineffective: dict[str, str] = {}
        """Typed switches that have no effect → a sentence with the reason."""

    def value(self, name: str) -> Any:
        return in_force(name, self.settings)

    def series(self) -> Series:
        """The pictures of this part; fills `summary`, `notes`, `ineffective`. Raises InvokeError with the column."""
        draft, settings = self.draft, self.settings
        if not self.value("wild"):
            self.notes += self._checked(draft.prompt or "", self.value("negative_prompt"))
        spec = self.spec = self._model()
        start = find_start(draft, settings, self.context, self.before)
        instruction.settle(draft, settings, spec, start)
        facts = self._settled(start)
        multiple = self.multiple(facts is not None)
        width, height = drawn_size(settings, spec, facts, draft.values, multiple=multiple)
        self.notes += rounding(settings, spec, multiple)
        redraws = None if facts is not None and self.value("strength") == 0 else facts is not None
        self.notes += check_prompt(draft, redraws=redraws)
        request = self._request(start, facts, width=width, height=height)
        check_known(request, facts, draft.values)
        first = planned(request, facts, spec, self.context.models)
        self.summary += [*summary.summarise(first, facts, spec), *postprocess.embiggen_summary(request, spec)]
        self.size_and_steps = summary.size_and_steps(first, spec)
        self.notes += summary.warnings(first, facts, spec, is_exact=self.value("exact_steps"))
        if first.points and (advice := size_advice(request, spec, facts, typed=draft.switches)):
            self.notes.append(advice)
        self.notes += controls.warnings(request)
        self.ineffective = dict(summary.without_effect(draft.switches, settings, first))
        self.notes += self.ineffective.values()
        self.first = request
        series = pictures_of(first, settings, self.context.draw_seed, draft.columns)
        self.summary += summary.passing_back(first, settings)
        drawn = self.drawn(series.picture(0).request)
        if self.value("wild"):
            self.summary += summary.drawing(request, drawn, series.count)
            self.notes += self._checked(drawn.prompt, drawn.negative_prompt)
        check_family(drawn, spec, draft.columns)
        check_refiner(drawn, spec, self.context.models, draft.columns)
        check_loras(drawn, spec, self.context.models)
        if first.points:
            self.notes += unknown_words(f"{drawn.prompt} {drawn.negative_prompt}", spec, self.context.models)
        return series

    def drawn(self, request: Request) -> Request:
        """With `--wild`, replace the texts of `request` with those that its seed draws, and check them."""
        if not self.value("wild"):
            return request
        drawn = draw_texts(request, self.draft, self.context)
        self._checked(drawn.prompt, drawn.negative_prompt)
        check_family(drawn, self.spec, self.draft.columns)
        return drawn

    def _checked(self, prompt: str, negative_prompt: str) -> list[str]:
        return check_texts(prompt, negative_prompt, self.draft, self.context.models)

    def _model(self) -> ModelSpec:
        """Find the model; its usual steps and guidance become the defaults."""
        with ErrorColumn(self.draft, "refiner"):
            if "refiner" in self.settings:
                self.context.models.find(self.settings["refiner"][0])
        with ErrorColumn(self.draft, "model"):
            spec = self.context.models.find(self.settings.get("model", self.context.model))
        self.settings.setdefault("upscale_guidance", self.settings.get("cfg_scale", upscaling.UPSCALE_GUIDANCE))
        for name, value in usual(spec).items():
            self.settings.setdefault(name, value)
        return spec

    def _settled(self, start: Start) -> PictureFacts | None:
        """The facts about the init picture, adjusted to `--strength_map`, `-c` and `-embiggen`; sets the strength."""
        facts = start.facts
        if start.strengths is not None:
            self.settings["strength"] = start.strengths[1]
        if facts is not None:
            self.notes += (f"{facts.path}: {note}" for note in facts.notes)
        if self.value("outcrop"):
            self.settings.setdefault("strength", OUTCROP_STRENGTH)
        if facts is not None and self.value("embiggen"):
            self.notes += postprocess.settle_embiggen(self.settings, self.draft.columns)
            return replace(facts, transparency=Transparency())
        return facts

    def _request(self, start: Start, facts: PictureFacts | None, *, width: int, height: int) -> Request:
        """The first picture."""
        draft, settings, context, spec = self.draft, self.settings, self.context, self.spec
        settled: dict[str, Any] = {
            "prompt": draft.prompt or "",
            "model": spec.name,
            "width": width,
            "height": height,
            "scheduler": settings.get("sampler", spec.sampler),
            "seed": self._seed(),
            "init_image": start.image,
            "more_images": instruction.more_pictures(draft, settings, context, start),
            "mask_image": start.mask,
            "strength_map": start.strength_map,
            "soft": start.mask is not None and self.value("soft"),
            "text_mask": text_mask(settings, facts),
            "init_color": self._init_color(),
            "controls": tuple(controls.read_controls(draft, settings, context, spec, has_init=facts is not None)),
            "ip_adapters": tuple(ip_adapters.read_ip_adapters(draft, settings, context, spec)),
            **finish(draft, settings, context.models),
        }
        rest = {name: self._relevant(row, facts) for name, row in by_field().items() if name not in settled}
        request = Request(**settled, **rest)
        if request.hires_fix:
            request = without_idle_pass(request, facts, spec)
            if facts is None and not request.hires_fix:
                self.notes.append(f"--hires_fix has no effect up to {spec.name}'s own size")
        if self.value("exact_steps") and facts is not None and request.is_drawn:
            request = with_exact_steps(request, draft.columns.get("exact_steps"))
        if request.embiggen is not None:
            postprocess.check_embiggen(request, spec, draft.values)
        check_canvas(request, draft.values)
        for path in (*request.pictures, request.model):
            refuse_untypable(path)
        with ErrorColumn(draft, "upscale"):
            upscaling.check_size(request)
        return request

    def _seed(self) -> int:
        if "seed" not in self.settings:
            return self.context.draw_seed()
        seed: int = self.settings["seed"]
        with ErrorColumn(self.draft, "seed"):
            return seed if seed >= 0 else recalled(by_name()["seed"].spelling, seed, self.context.newest)[1]

    def _init_color(self) -> str | None:
        if "init_color" not in self.settings:
            return None
        with ErrorColumn(self.draft, "init_color"):
            path = picture_path("init_color", self.settings["init_color"], self.context, self.value("outdir"))
            describe(path)
        return path

    def _relevant(self, row: Switch, facts: PictureFacts | None) -> Any:
        """The row's value; its default if it has no meaning here, so that equal pictures have equal requests."""
        if row.needs and facts is None and not (row.name == "strength" and self.value("hires_fix")):
            return row.default
        return self.value(row.name)

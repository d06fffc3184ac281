"""`--control MODEL IMAGE [scale]`: finds the ControlNet, and the control picture or its detector."""

from collections.abc import Iterator, Mapping
from typing import Any

from invoke.errors import ModelError, RequestError
from invoke.images import describe
from invoke.images.detectors import DETECTORS
from invoke.language.parse import Draft
from invoke.language.resolve.init_image import picture_path
from invoke.language.resolve.line_context import ErrorColumn, LineContext
from invoke.language.switches import in_force
from invoke.models import DEFAULT_MODEL, ModelSpec, Registry
from invoke.models.hub.cache import hub_address
from invoke.models.support import FITTED, is_known
from invoke.request import AUTO, ControlValue, Request
from invoke.text import did_you_mean

SHOWN = 0.95
"""A note is given if less than this fraction of a control picture is used."""


def read_controls(
    draft: Draft, settings: Mapping[str, Any], context: LineContext, spec: ModelSpec, *, has_init: bool
) -> Iterator[ControlValue]:
    """Resolve each `--control`. Raises ModelError, RequestError or PictureError with the column."""
    for number, (name, image, scale, *window) in enumerate(in_force("control", settings), start=1):
        with ErrorColumn(draft, f"control {number}"):
            control = _fitting(name, context.models, spec)
        with ErrorColumn(draft, f"control {number}", 1):
            path = _picture(image, settings, context, has_init=has_init)
        yield (control.name, path, scale, *window)


def warnings(request: Request) -> Iterator[str]:
    """Notes about the control pictures of `request`."""
    width, height = request.size
    for _, image, *_ in request.controls:
        if not image.startswith(AUTO):
            facts = describe(image)
            yield from (f"{image}: {note}" for note in facts.notes)
            shapes = sorted((facts.width * height, facts.height * width))
            if shapes[0] < SHOWN * shapes[1]:
                yield f"{image}: only the middle of its {facts.width}×{facts.height} is used, for {width}×{height}"


def _picture(image: str, settings: Mapping[str, Any], context: LineContext, *, has_init: bool) -> str:
    if image.startswith(AUTO):
        _check_detector(image, has_init=has_init)
        return image
    path = picture_path("control", image, context, in_force("outdir", settings))
    describe(path)
    _check_is_whole(path, is_tiled=bool(in_force("embiggen", settings)))
    return path


def _fitting(name: str, models: Registry, model: ModelSpec) -> ModelSpec:
    """Find the ControlNet called `name`, and check its family against `model` if known. Raises ModelError."""
    found = models.find(name, "controlnet")
    if is_known(model) and model.family not in FITTED:
        raise ModelError(
            f"--control: no ControlNet fits {model.name}",
            code="wrong_control",
            hint="they are made for Stable Diffusion 1, 2 and XL",
        )
    if model.name == DEFAULT_MODEL and hub_address(found.weights):
        raise ModelError(
            f"--control: {name} is made for Stable Diffusion at full size, which {model.name} is not",
            code="wrong_control",
            hint="name another model, such as -m sd-1.5",
        )
    if "auto" in (found.family, model.family) or found.family == model.family:
        return found
    fitting = ", ".join(spec.name for spec in models if (spec.kind, spec.family) == ("controlnet", model.family))
    raise ModelError(
        f"--control: {name} is made for {FITTED.get(found.family, found.family)}, which {model.name} is not",
        code="wrong_control",
        hint=f"these fit it: {fitting}" if fitting else "",
    )


_WITHOUT_DETECTOR = {
    "lineart": "transformers has no detector for lines: auto:canny finds edges; or name a line drawing, white on black"
}
"""What people ask for that nothing here finds → what to do."""


def _check_detector(image: str, *, has_init: bool) -> None:
    """Raise RequestError if the detector in `image`, which begins with AUTO, cannot be used."""
    name = image.removeprefix(AUTO)
    if name not in DETECTORS:
        suggestion = did_you_mean(name, DETECTORS, AUTO + "{}")
        detectors = ", ".join(f"{AUTO}{detector} ({row.summary})" for detector, row in DETECTORS.items())
        raise RequestError(
            f"there is no detector {image}{suggestion}",
            code="no_detector",
            hint=_WITHOUT_DETECTOR.get(name) or f"there is {detectors}; otherwise name a picture",
        )
    if not has_init:
        raise RequestError(
            f"{image} means {DETECTORS[name].summary}, but this line has none",
            code="no_init_picture",
            hint="name one with -I, or a control picture instead",
        )


def _check_is_whole(image: str, *, is_tiled: bool) -> None:
    """Raise RequestError if the picture is drawn in tiles, which cannot follow the whole of `image`."""
    if is_tiled:
        raise RequestError(
            f"-embiggen redraws a picture in tiles, which cannot follow {image}",
            code="not_combined",
            hint=f"{AUTO}canny is detected again in each tile",
        )

"""Rejects what a model's family does not support, before anything runs."""

from collections.abc import Mapping
from types import MappingProxyType

from invoke.errors import ModelError, RequestError
from invoke.language.switches import Switch, by_field
from invoke.models import ModelSpec, Registry
from invoke.models.editors import editor_of
from invoke.models.families import Family
from invoke.models.hub.cache import located
from invoke.models.support import FITTED, is_known, reads_literally, unsupported
from invoke.models.text_layers import most_skipped, too_many_skipped
from invoke.prompts import read_prompt
from invoke.request import Request

_NOWHERE: Mapping[str, int] = MappingProxyType({})


def check_family(request: Request, spec: ModelSpec, columns: Mapping[str, int] = _NOWHERE) -> None:
    """Raise RequestError if `request` needs something that the model `spec` does not support.

    `columns` has the column of each switch in the line.
    """
    fields = unsupported(request, spec)
    if fields and fields[0] != "scheduler":
        spelling, column = _typed(next(row for name, row in by_field().items() if name in fields), columns)
        raise RequestError(
            f"{spelling}: not supported by {spec.name}",
            code="not_taken",
            column=column,
            hint="docs/families.md lists what each family supports",
        )
    if fields:
        raise RequestError(
            f"-A {request.scheduler}: {spec.name} works only with its own sampler",
            code="not_taken",
            column=columns.get("sampler"),
            hint=f"type -A {spec.sampler}, or omit -A",
        )
    most = most_skipped(spec) if request.clip_skip and request.is_drawn else None
    if most is not None and request.clip_skip > most:
        raise too_many_skipped(spec, request.clip_skip, most, columns.get("clip_skip"))
    if request.is_drawn and reads_literally(spec) and not read_prompt(request.prompt, request.negative_prompt).is_plain:
        raise RequestError(
            f"{spec.name} takes plain prompts: no weights, blends, swaps or LoRAs",
            code="not_taken",
            hint="put a backslash before a sign to paint it: C\\+\\+",
        )
    changing = "ip_adapter" if request.ip_adapters else "pag" if request.pag_scale else ""
    if changing and read_prompt(request.prompt, request.negative_prompt).has_swaps:
        raise RequestError(
            f"--{changing} and .swap() cannot be combined: both change how the model attends",
            code="not_combined",
            column=columns.get(changing),
            hint="omit one of them",
        )


def check_refiner(request: Request, spec: ModelSpec, models: Registry, columns: Mapping[str, int] = _NOWHERE) -> None:
    """Raise ModelError if the refiner of `request` is of a family that cannot continue what the model `spec` draws."""
    if request.refiner is None or not request.is_drawn:
        return
    refiner = models.find(request.refiner[0])
    if is_known(refiner) and is_known(spec) and (_latents(refiner) != _latents(spec) or editor_of(refiner) is not None):
        raise ModelError(
            f"--refiner: {refiner.name} cannot refine pictures of {spec.name}",
            code="wrong_refiner",
            column=columns.get("refiner"),
            hint="sdxl-refiner belongs to Stable Diffusion XL",
        )


def _latents(spec: ModelSpec) -> Family:
    """The family whose latents `spec` draws."""
    return "sdxl" if spec.family == "sdxl-refiner" else spec.family


def check_loras(request: Request, spec: ModelSpec, models: Registry) -> None:
    """Raises ModelError if a LoRA of the prompt is made for another family than that of the model `spec`.

    What is neither stated nor told by a file on this disk is seen when it is loaded.
    """
    for name, _ in read_prompt(request.prompt, request.negative_prompt).loras:
        lora = models.find(name, "lora")
        is_told = "family" in lora.stated or located(lora.weights) is not None
        if is_told and {lora.family, spec.family} == FITTED.keys():
            raise ModelError(
                f"withLora({name}): it is made for {FITTED[lora.family]}, which {spec.name} is not", code="wrong_lora"
            )


def _typed(row: Switch, columns: Mapping[str, int]) -> tuple[str, int | None]:
    """The spelling and column of the switch that set the field of `row`."""
    if row.field == "variations" and "variation_amount" in columns:
        return "-v without -I", columns["variation_amount"]
    return row.spelling, columns.get(row.name)

"""Refuses what a model's family does not support, before anything runs."""

from collections.abc import Mapping
from types import MappingProxyType

from invoke.errors import RequestError
from invoke.language.switches import Switch, by_field
from invoke.models import ModelSpec
from invoke.models.families import reads_literally, unsupported
from invoke.models.text_layers import most_skipped, too_many_skipped
from invoke.prompts import read_prompt
from invoke.request import Request

_NOWHERE: Mapping[str, int] = MappingProxyType({})


def check_family(request: Request, spec: ModelSpec, columns: Mapping[str, int] = _NOWHERE) -> None:
    """Raises RequestError where `request` asks for something that the model `spec` does not support.

    `columns` says where in the line each switch stands.
    """
    fields = unsupported(request, spec)
    if fields and fields[0] != "scheduler":
        spelling, column = _typed(next(row for name, row in by_field().items() if name in fields), columns)
        raise RequestError(
            f"{spelling}: {spec.name} cannot do that",
            code="not_taken",
            column=column,
            hint="docs/families.md lists what it takes",
        )
    if fields:
        raise RequestError(
            f"-A {request.scheduler}: {spec.name} works with its own sampler only",
            code="not_taken",
            column=columns.get("sampler"),
            hint=f"which is called {spec.sampler} here: -A {spec.sampler}, or none",
        )
    is_redrawn = request.init_image is None or request.strength > 0
    most = most_skipped(spec) if request.clip_skip and is_redrawn else None
    if most is not None and request.clip_skip > most:
        raise too_many_skipped(spec, request.clip_skip, most, columns.get("clip_skip"))
    if is_redrawn and reads_literally(spec) and not read_prompt(request.prompt, request.negative_prompt).is_plain:
        raise RequestError(
            f"{spec.name} takes plain prompts: no weights, blends, swaps or LoRAs",
            code="not_taken",
            hint="a backslash makes a sign plain text: C\\+\\+",
        )
    changing = "ip_adapter" if request.ip_adapters else "pag" if request.pag_scale else ""
    if changing and read_prompt(request.prompt, request.negative_prompt).has_swaps:
        raise RequestError(
            f"--{changing} and .swap() cannot be combined: both change how the model attends",
            code="not_combined",
            column=columns.get(changing),
            hint="leave one of the two out",
        )


def _typed(row: Switch, columns: Mapping[str, int]) -> tuple[str, int | None]:
    """How the switch was typed that filled the field of `row`, and where."""
    if row.field == "variations" and "variation_amount" in columns:
        return "-v without -I", columns["variation_amount"]
    return row.spelling, columns.get(row.name)

"""What models of a family do not take, refused before anything runs."""

from collections.abc import Mapping
from types import MappingProxyType

from invoke.command.prompts import Said, Words, read_prompt
from invoke.errors import RequestError
from invoke.models import ModelSpec
from invoke.models.cache import located
from invoke.models.spec import Family
from invoke.request import Request
from invoke.switches import Switch, by_field

_STEPWISE = {
    "karras",
    "guidance_interval",
    "batch_size",
    "reuse",
    "variations",
    "perlin",
    "threshold",
    "h_symmetry_time_pct",
    "v_symmetry_time_pct",
    "seamless",
    "hires_fix",
    "refiner",
    "controls",
    "inpaint_replace",
    "embiggen",
    "embiggen_tiles",
}
"""Fields that reach into noise, networks or steps, which another library's pipeline keeps to itself."""
REFUSED: Mapping[Family, frozenset[str]] = {
    "kandinsky": frozenset({"refiner", "controls", "reuse"}),
    "auto": frozenset(_STEPWISE),
}
"""Family → fields of a Request that must be as the table has them."""

_NOWHERE: Mapping[str, int] = MappingProxyType({})


def is_known(spec: ModelSpec) -> bool:
    """Whether the family is more than a guess: a hub id tells it when it has been fetched."""
    return spec.family != "auto" or spec.description != "hub id" or located(spec.weights) is not None


def check_family(request: Request, spec: ModelSpec, columns: Mapping[str, int] = _NOWHERE) -> None:
    """Raises RequestError where `request` wants what the model `spec` cannot do.

    `columns` says where in the line each switch stands.
    """
    fields = REFUSED.get(spec.family)
    if fields is None or not is_known(spec) or (request.init_image is not None and request.strength == 0):
        return
    rows = [row for name, row in by_field().items() if name in fields and getattr(request, name) != row.default]
    if rows:
        spelling, column = _typed(rows[0], columns)
        raise RequestError(
            f"{spelling}: {spec.name} cannot do that",
            code="not_taken",
            column=column,
            hint="docs/families.md lists what it takes",
        )
    if spec.family == "auto" and request.scheduler != spec.sampler:
        raise RequestError(
            f"-A {request.scheduler}: {spec.name} takes its steps in its own way only",
            code="not_taken",
            column=columns.get("sampler"),
            hint=f"which is called {spec.sampler} here: -A {spec.sampler}, or none",
        )
    said = read_prompt(request.prompt, request.negative_prompt)
    if said.loras or not _is_plain(said.positive) or not _is_plain(said.negative):
        raise RequestError(
            f"{spec.name} reads the words as they are: no weights, blends, swaps or LoRAs",
            code="not_taken",
            hint="a backslash makes text of a sign: C\\+\\+",
        )


def _is_plain(said: Said) -> bool:
    return isinstance(said, Words) and not said.swaps and all(piece.weight == 1 for piece in said.original)


def _typed(row: Switch, columns: Mapping[str, int]) -> tuple[str, int | None]:
    """How the switch was typed that filled the field of `row`, and where."""
    if row.field == "variations" and "variation_amount" in columns:
        return "-v without -I", columns["variation_amount"]
    return row.spelling, columns.get(row.name)

"""Factors, models and steps of `-U`, determined without loading any model."""

from collections.abc import Iterable

from invoke.errors import RequestError
from invoke.models.folder import pipeline_class, read_json
from invoke.models.hub.cache import located
from invoke.models.spec import INDEX, ModelSpec
from invoke.models.upscalers import LATENT_UPSCALER, SUPER_RESOLUTION, UPSCALERS, DiffusionUpscaler
from invoke.request import Request
from invoke.text import one_of, render_number

CHAINS: dict[int, tuple[str, ...]] = {
    2: ("upscaler-x2",),
    4: ("upscaler-x4",),
    8: ("upscaler-x2", "upscaler-x4"),
}
"""Factor → names of the models used without `--upscaler`."""
UPSCALE_STRENGTH = 0.75
"""Default strength of `-U`."""
UPSCALE_GUIDANCE = 9.0
"""Default guidance of diffusion upscalers without `-C`: the default of diffusers' upscale pipelines."""
LARGEST = 64_000_000
"""Maximum pixels of a result: the limit for pictures that can be opened again."""


def tools_of(request: Request) -> tuple[str, ...]:
    """The names of the models that upscale the picture of `request`, in order.

    Empty if nothing is upscaled, or plainly (strength 0).
    """
    if request.upscale is None or request.upscale[1] == 0:
        return ()
    if request.upscaler is not None:
        return (request.upscaler,)
    return CHAINS[int(request.upscale[0])]


def is_diffusion(spec: ModelSpec) -> bool:
    """Whether an upscaler is a diffusion model; networks in single files take one pass, without steps or guidance."""
    return not spec.weights.endswith(".safetensors")


def passes(request: Request, factor: int) -> int:
    """How often a model is applied that enlarges `factor` times: one that is named, until `-U` is reached."""
    assert request.upscale is not None
    count = 1
    while request.upscaler is not None and factor**count < request.upscale[0]:
        count += 1
    return count


def upscale_steps(request: Request, tools: Iterable[ModelSpec]) -> int:
    """The steps that the diffusion models among `tools`, those of `tools_of`, take to upscale the picture."""
    rows = [_row(spec) for spec in tools if is_diffusion(spec)]
    return sum(passes(request, row.factor) * row.steps(request) for row in rows)


def _row(spec: ModelSpec) -> DiffusionUpscaler:
    """Its row of UPSCALERS; a guess by name if it is not downloaded yet."""
    folder = located(spec.weights)
    if folder is None or not (folder / INDEX).is_file():
        return UPSCALERS[LATENT_UPSCALER if spec.name == CHAINS[2][0] else SUPER_RESOLUTION]
    named = pipeline_class(read_json(spec.name, folder / INDEX))
    return UPSCALERS.get(named, UPSCALERS[SUPER_RESOLUTION])


def check_factor(factor: float, upscaler: ModelSpec | None) -> None:
    """Raise RequestError if the factor is not possible: models in diffusers layout have a fixed factor."""
    if upscaler is None and factor not in CHAINS:
        raise RequestError(
            f"-U {render_number(factor)}: the factor must be {one_of(tuple(CHAINS))}",
            code="bad_factor",
            hint="--upscaler with a network in a single file allows any factor, and so does plain scaling (strength 0)",
        )
    if upscaler is not None and is_diffusion(upscaler) and factor not in {2, 4, 8, 16}:
        raise RequestError(
            f"-U {render_number(factor)}: {upscaler.name} has a fixed factor",
            code="bad_factor",
            hint="-U 2 or -U 4",
        )


def check_size(request: Request) -> None:
    """Raise RequestError if the result would be too large."""
    width, height = request.finished_size
    if request.upscale is not None and width * height > LARGEST:
        raise RequestError(
            f"-U {render_number(request.upscale[0])}: the picture would be {width}×{height}: "
            f"the limit is {LARGEST // 10**6} million pixels",
            code="too_large",
            hint="lower -U",
        )

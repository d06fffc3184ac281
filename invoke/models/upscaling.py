"""Factors and models of `-U`, determined without loading any model."""

from invoke.errors import RequestError
from invoke.models.folder import read_json
from invoke.models.hub.cache import located
from invoke.models.recognise import LATENT_UPSCALER, SUPER_RESOLUTION, UPSCALERS
from invoke.models.registry import Registry
from invoke.models.spec import INDEX, ModelSpec
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
MOST_LATENT_STEPS = 20
"""Step limit of the latent upscaler, from its authors; more steps make no visible difference."""
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


def upscale_steps(request: Request, models: Registry) -> int:
    """The steps that diffusion models take to upscale the picture. Raises ModelError if one is unknown."""
    specs = [models.find(name, "upscaler") for name in tools_of(request)]
    return sum(_steps(request, spec) for spec in specs if is_diffusion(spec))


def _steps(request: Request, spec: ModelSpec) -> int:
    """The steps of one model; a named one is repeated until the factor is reached."""
    assert request.upscale is not None
    pipeline = _pipeline(spec)
    factor = UPSCALERS[pipeline]
    steps = min(request.steps, MOST_LATENT_STEPS) if pipeline == LATENT_UPSCALER else request.steps
    passes, reached = 1, factor
    while request.upscaler is not None and reached < request.upscale[0]:
        passes, reached = passes + 1, reached * factor
    return passes * steps


def _pipeline(spec: ModelSpec) -> str:
    """The class of its pipeline, a key of UPSCALERS; a guess by name if it is not downloaded yet."""
    folder = located(spec.weights)
    if folder is None or not (folder / INDEX).is_file():
        return LATENT_UPSCALER if spec.name == CHAINS[2][0] else SUPER_RESOLUTION
    named = str(read_json(spec.name, folder / INDEX).get("_class_name"))
    return named if named in UPSCALERS else SUPER_RESOLUTION


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

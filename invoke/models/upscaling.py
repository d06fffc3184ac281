"""By how much a picture can be enlarged (`-U`), and with which tools: all that can be said without loading any."""

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
"""Factor → the models, by name, of a line that names none with `--upscaler`."""
UPSCALE_STRENGTH = 0.75
"""What `-U` alone means."""
UPSCALE_GUIDANCE = 9.0
"""Of the diffusion models that enlarge, where no `-C` is typed: the default of diffusers' upscale pipelines."""
MOST_LATENT_STEPS = 20
"""Of the latent upscaler: what its makers take; more change nothing that could be seen."""
LARGEST = 64_000_000
"""Pixels of a result: as many as of a picture that can be opened again."""


def tools_of(request: Request) -> tuple[str, ...]:
    """The models that enlarge the picture of `request`, by name, in order.

    There are none where nothing is enlarged, or without a model (strength 0).
    """
    if request.upscale is None or request.upscale[1] == 0:
        return ()
    if request.upscaler is not None:
        return (request.upscaler,)
    return CHAINS[int(request.upscale[0])]


def is_diffusion(spec: ModelSpec) -> bool:
    """Whether an upscaler draws, with steps and guidance; a network in a single file makes one pass without either."""
    return not spec.weights.endswith(".safetensors")


def upscale_steps(request: Request, models: Registry) -> int:
    """Steps that diffusion models take to enlarge the picture of `request`. Raises ModelError where one is unknown."""
    specs = [models.find(name, "upscaler") for name in tools_of(request)]
    return sum(_steps(request, spec) for spec in specs if is_diffusion(spec))


def _steps(request: Request, spec: ModelSpec) -> int:
    """Of one model: as often as it is used to reach the factor, if it was named."""
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
    """Raise RequestError where a picture cannot be enlarged so: models in diffusers layout do their own factor."""
    if upscaler is None and factor not in CHAINS:
        raise RequestError(
            f"-U {render_number(factor)}: a picture is enlarged {one_of(tuple(CHAINS))} times",
            code="bad_factor",
            hint="--upscaler with a network in a single file takes any factor, and so does plain scaling (strength 0)",
        )
    if upscaler is not None and is_diffusion(upscaler) and factor not in {2, 4, 8, 16}:
        raise RequestError(
            f"-U {render_number(factor)}: {upscaler.name} enlarges by its own factor only",
            code="bad_factor",
            hint="-U 2 or -U 4",
        )


def check_size(request: Request) -> None:
    """Raise RequestError where the result would be too large."""
    width, height = request.finished_size
    if request.upscale is not None and width * height > LARGEST:
        raise RequestError(
            f"-U {render_number(request.upscale[0])}: the picture would be {width}×{height}: "
            f"the limit is {LARGEST // 10**6} million pixels",
            code="too_large",
            hint="lower -U",
        )

"""By how much a picture can be enlarged (`-U`), and with which tools: all that can be said without loading any."""

from invoke.errors import RequestError
from invoke.models import ModelSpec
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
"""Of `!fix -U` without `-C`, where nothing else is drawn: the default of diffusers' upscale pipelines."""
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


def check_factor(factor: float, upscaler: ModelSpec | None) -> None:
    """Raise RequestError where a picture cannot be enlarged so: models in diffusers layout do their own factor."""
    if upscaler is None and factor not in CHAINS:
        raise RequestError(
            f"-U {render_number(factor)}: a picture is enlarged {one_of(tuple(CHAINS))} times",
            code="bad_factor",
            hint="--upscaler with a network in a single file takes any factor, and so does plain scaling (strength 0)",
        )
    if upscaler is not None and not upscaler.weights.endswith(".safetensors") and factor not in {2, 4, 8, 16}:
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
            f"-U {render_number(request.upscale[0])}: the picture would be {width}×{height}, "
            f"the most are {LARGEST // 10**6} million pixels",
            code="too_large",
            hint="lower -U",
        )

"""The tools of a picture are made ready before it is drawn, so that nothing is drawn in vain."""

from collections.abc import Generator
from time import perf_counter

from invoke.engine.finishing.loading import read_upscaler, upscaler
from invoke.engine.finishing.tool import Upscaler
from invoke.engine.networks import Networks
from invoke.errors import RequestError
from invoke.events import EngineEvent, Loaded, Loading
from invoke.request import Request
from invoke.switch_types import render_number
from invoke.upscaling import tools_of


def ready(request: Request, networks: Networks) -> Generator[EngineEvent, None, tuple[Upscaler, ...]]:
    """Load the tools of `request`; return them in the order in which they are used.

    Raises ModelError or RequestError.
    """
    tools: list[Upscaler] = []
    for name in tools_of(request):
        is_new = not networks.has(name, "upscaler")
        if is_new:
            yield from networks.fetch(name, "upscaler")
            yield Loading(name)
        began = perf_counter()
        read = networks.get(name, "upscaler", read_upscaler)
        tools.append(upscaler(read, lambda: networks.model(request.model)))
        if is_new:
            place = networks.place
            yield Loaded(name, place.device_name, place.dtype_name, perf_counter() - began)
    return _repeated(request, tools) if tools and request.upscaler is not None else tuple(tools)


def _repeated(request: Request, tools: list[Upscaler]) -> tuple[Upscaler, ...]:
    """A tool that was named, as often as it takes to reach the factor."""
    assert request.upscale is not None
    wanted, reached = request.upscale[0], 1
    used: list[Upscaler] = []
    for tool in tools:
        while reached < wanted:
            used.append(tool)
            reached *= tool.factor
        if tool.exact and reached != wanted:
            raise RequestError(
                f"-U {render_number(wanted)}: {tool.name} enlarges {tool.factor} times, "
                f"or {tool.factor**2} times when used twice",
                code="bad_factor",
                hint=f"-U {tool.factor}",
            )
    return tuple(used)

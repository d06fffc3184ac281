"""The tools of a picture are made ready before it is drawn, so that nothing is drawn in vain."""

from collections.abc import Generator

from invoke.engine.finishing.faces import load_face_tool
from invoke.engine.finishing.loading import read_upscaler, upscaler
from invoke.engine.finishing.tool import Tools, Upscaler
from invoke.engine.networks import Networks
from invoke.errors import RequestError
from invoke.events import EngineEvent
from invoke.request import Request
from invoke.switch_types import render_number
from invoke.upscaling import tools_of


def ready(request: Request, networks: Networks) -> Generator[EngineEvent, None, Tools]:
    """Load the tools of `request`.

    Raises ModelError or RequestError.
    """
    faces = None
    if request.facetool is not None:
        faces = yield from networks.ready(request.facetool, "face", load_face_tool)
    upscalers: list[Upscaler] = []
    for name in tools_of(request):
        read = yield from networks.ready(name, "upscaler", read_upscaler)
        upscalers.append(upscaler(read, lambda: networks.model(request.model)))
    is_named = upscalers and request.upscaler is not None
    return Tools(faces, _repeated(request, upscalers) if is_named else tuple(upscalers))


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

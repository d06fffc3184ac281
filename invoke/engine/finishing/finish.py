"""A drawn picture is finished: its faces are repaired (`-G`), then it is enlarged (`-U`), as the request asks."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from time import perf_counter

import torch

from invoke.engine import images
from invoke.engine.calls import Drawing, Happening
from invoke.engine.devices import free, is_out_of_memory
from invoke.engine.finishing.enlarging import enlarged, enlarging_steps
from invoke.engine.finishing.faces import FaceTool
from invoke.engine.finishing.tool import Tools, Upscaler
from invoke.engine.networks import Networks
from invoke.errors import EngineError
from invoke.events import Drawn, EngineEvent, Facts, Finished, Started, Step
from invoke.pictures import as_array
from invoke.request import Request

Used = tuple[FaceTool | Upscaler, ...]
"""The tools that had a part in a picture."""


def finished(request: Request, tools: Tools, networks: Networks, drawing: Drawing) -> Drawing:
    """The events of `drawing`, with the steps of `tools` counted in, and with the finished picture at the end.

    A picture that was drawn is not lost where a tool fails: it is finished as it is, then the error is raised.
    Raises what `drawing` raises, and EngineError.
    """
    if request == request.unfinished:
        return (yield from drawing)
    more = (tools.faces is not None) + enlarging_steps(request, tools.upscalers)
    drawn, taken, latents = yield from _drawn(request, more, drawing)
    total = taken + more
    yield Drawn(drawn)
    began, picture, used = perf_counter(), torch.from_numpy(as_array(drawn.image)), Used()
    try:
        if tools.faces is not None:
            repaired = yield from _repaired(request, tools.faces, networks, picture)
            yield Step(taken := taken + 1, total, 0.0)
            if repaired is not None:
                picture, latents, used = repaired, None, (tools.faces,)
        if request.upscale is not None:
            width, height = request.finished_size
            enlarging = enlarged(request, tools.upscalers, networks, picture, latents)
            advice = "lower -U, or close what else uses the memory"
            with _in_memory(f"the picture was enlarged to {width}×{height}", advice, networks):
                picture = yield from _counted(enlarging, taken, total)
            used += tools.upscalers
    except EngineError:
        yield drawn
        raise
    facts = _facts(drawn.facts, used, networks, perf_counter() - began)
    yield Finished(request, images.to_pixels(picture), facts)
    return None


def _drawn(
    request: Request, more: int, drawing: Drawing
) -> Generator[Happening, None, tuple[Finished, int, "torch.Tensor | None"]]:
    """Pass on everything but the drawn picture, `more` steps counted in.

    Return that picture, as the one that it is without a finish; its own steps; its latents.
    """
    drawn, total = None, 0
    with closing(drawing):
        while True:
            try:
                event = next(drawing)
            except StopIteration as end:
                assert drawn is not None
                return drawn, total, end.value
            match event:
                case Started():
                    total = event.total
                    yield replace(event, total=total + more)
                case Step():
                    yield replace(event, total=total + more)
                case Finished():
                    drawn = replace(event, request=request.unfinished)
                case _:
                    yield event


def _repaired(
    request: Request, tool: FaceTool, networks: Networks, picture: torch.Tensor
) -> Generator[EngineEvent, None, torch.Tensor | None]:
    with _in_memory("the picture's faces were repaired", "close what else uses the memory", networks):
        repaired = yield from tool.repair(picture.numpy(), request)
    return None if repaired is None else torch.from_numpy(repaired)


def _counted(
    enlarging: Generator[float, None, torch.Tensor], before: int, total: int
) -> Generator[EngineEvent, None, torch.Tensor]:
    """The timesteps of `enlarging` as steps that follow the first `before` of `total`."""
    with closing(enlarging):
        while True:
            try:
                timestep = next(enlarging)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            before += 1
            yield Step(before, total, timestep)


@contextmanager
def _in_memory(doing: str, advice: str, networks: Networks) -> Iterator[None]:
    """Says what was being done when the memory was not enough. Raises EngineError."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        free(networks.place)
        raise EngineError(
            f"out of memory while {doing}; it is kept as it was before", code="out_of_memory", hint=advice
        ) from error


def _facts(drawn: Facts, used: Used, networks: Networks, seconds: float) -> Facts:
    """What is recorded beside what was recorded of the drawing."""
    facts = replace(drawn, seconds=drawn.seconds + seconds)
    if not used:
        return facts
    kinds = (("face" if isinstance(tool, FaceTool) else "upscaler", tool) for tool in used)
    hashes = {f"{kind} {tool.name}": tool.weights_hash.result() for kind, tool in kinds}
    place = networks.place
    return replace(facts, hashes=facts.hashes | hashes, device=place.device_name, dtype=place.dtype_name)

"""Faces, then `-U`: the networks are loaded before anything is drawn, so that nothing is drawn in vain."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from time import perf_counter

import torch

from invoke.engine.components.devices import free, is_out_of_memory
from invoke.engine.components.vae import to_pixels
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.postprocess.faces import FaceTool, load_face_tool
from invoke.engine.postprocess.upscale import Postprocessors, Upscaler, enlarged, enlarging_steps
from invoke.engine.postprocess.upscaler_loading import read_upscaler, upscaler
from invoke.engine.sampling.model_call import Generation, PipelineEvent
from invoke.errors import EngineError, RequestError
from invoke.events import EngineEvent, Finished, Postprocessing, RunInfo, Started, Step
from invoke.images import as_array
from invoke.models.upscaling import tools_of
from invoke.request import Request
from invoke.text import render_number

Used = tuple[FaceTool | Upscaler, ...]
"""The tools that had a part in a picture."""


def postprocess(request: Request, tools: Postprocessors, pool: ModelPool, drawing: Generation) -> Generation:
    """The events of `drawing`, with the steps of `tools` counted in, and with the finished picture at the end.

    A picture that was drawn is not lost where a tool fails: it is finished as it is, then the error is raised.
    Raises what `drawing` raises, and EngineError.
    """
    if request == request.unfinished:
        return (yield from drawing)
    more = (tools.faces is not None) + enlarging_steps(request, tools.upscalers)
    drawn, taken, latents = yield from _drawn(request, more, drawing)
    total = taken + more
    yield Postprocessing(drawn)
    began, picture, used = perf_counter(), torch.from_numpy(as_array(drawn.image)), Used()
    try:
        if tools.faces is not None:
            repaired = yield from _repaired(request, tools.faces, pool, picture)
            yield Step(taken := taken + 1, total, 0.0)
            if repaired is not None:
                picture, latents, used = repaired, None, (tools.faces,)
        if request.upscale is not None:
            width, height = request.finished_size
            enlarging = enlarged(request, tools.upscalers, pool, picture, latents)
            advice = "lower -U, or close what else uses the memory"
            with _in_memory(f"the picture was enlarged to {width}×{height}", advice, pool):
                picture = yield from _counted(enlarging, taken, total)
            used += tools.upscalers
    except EngineError:
        yield drawn
        raise
    facts = _facts(drawn.facts, used, pool, perf_counter() - began)
    yield Finished(request, to_pixels(picture), facts)
    return None


def _drawn(
    request: Request, more: int, drawing: Generation
) -> Generator[PipelineEvent, None, tuple[Finished, int, "torch.Tensor | None"]]:
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
    request: Request, tool: FaceTool, pool: ModelPool, picture: torch.Tensor
) -> Generator[EngineEvent, None, torch.Tensor | None]:
    with _in_memory("the picture's faces were repaired", "close what else uses the memory", pool):
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
def _in_memory(doing: str, advice: str, pool: ModelPool) -> Iterator[None]:
    """Says what was being done when the memory was not enough. Raises EngineError."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        free(pool.place)
        raise EngineError(
            f"out of memory while {doing}; it is kept as it was before", code="out_of_memory", hint=advice
        ) from error


def _facts(drawn: RunInfo, used: Used, pool: ModelPool, seconds: float) -> RunInfo:
    """What is recorded beside what was recorded of the drawing."""
    facts = replace(drawn, seconds=drawn.seconds + seconds)
    if not used:
        return facts
    kinds = (("face" if isinstance(tool, FaceTool) else "upscaler", tool) for tool in used)
    hashes = {f"{kind} {tool.name}": tool.weights_hash.result() for kind, tool in kinds}
    place = pool.place
    return replace(facts, hashes=facts.hashes | hashes, device=place.device_name, dtype=place.dtype_name)


def load_postprocessors(request: Request, pool: ModelPool) -> Generator[EngineEvent, None, Postprocessors]:
    """Load the tools of `request`.

    Raises ModelError or RequestError.
    """
    faces = None
    if request.facetool is not None:
        faces = yield from pool.ready(request.facetool, "face", load_face_tool)
    upscalers: list[Upscaler] = []
    for name in tools_of(request):
        read = yield from pool.ready(name, "upscaler", read_upscaler)
        upscalers.append(upscaler(read, lambda: pool.model(request.model)))
    is_named = upscalers and request.upscaler is not None
    return Postprocessors(faces, _repeated(request, upscalers) if is_named else tuple(upscalers))


def _repeated(request: Request, tools: list[Upscaler]) -> tuple[Upscaler, ...]:
    """A tool that was named, as often as it takes to reach the factor."""
    assert request.upscale is not None
    wanted, reached = request.upscale[0], 1
    used: list[Upscaler] = []
    for tool in tools:
        while reached < wanted:
            used.append(tool)
            reached *= tool.factor
        if tool.fixed_factor and reached != wanted:
            raise RequestError(
                f"-U {render_number(wanted)}: {tool.name} enlarges {tool.factor} times, "
                f"or {tool.factor**2} times when used twice",
                code="bad_factor",
                hint=f"-U {tool.factor}",
            )
    return tuple(used)

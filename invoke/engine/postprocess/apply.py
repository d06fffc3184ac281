"""Applies face restoration, then `-U`. Networks are loaded before drawing, so that errors appear early."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from time import perf_counter

import torch

from invoke.engine.components.devices import free, is_out_of_memory
from invoke.engine.components.drawn_picture import DrawnPicture
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.postprocess.faces import FaceTool, load_face_tool
from invoke.engine.postprocess.upscaler import Postprocessors, Upscaler, enlarged, enlarging_steps, scaled
from invoke.engine.postprocess.upscaler_loading import read_upscaler, upscaler
from invoke.engine.sampling.model_call import Generation
from invoke.errors import EngineError, RequestError
from invoke.events import EngineEvent, RunInfo, Step
from invoke.models.upscaling import passes, tools_of
from invoke.request import Request
from invoke.text import render_number

Used = tuple[FaceTool | Upscaler, ...]
"""The tools that were used for a picture."""


def extra_steps(request: Request, tools: Postprocessors) -> int:
    """How many steps postprocessing adds."""
    if request == request.unfinished:
        return 0
    return (tools.faces is not None) + enlarging_steps(request, tools.upscalers)


def postprocess(
    request: Request, tools: Postprocessors, pool: ModelPool, drawn: DrawnPicture, total: int
) -> Generation[DrawnPicture]:
    """Repair the faces of `drawn`, then enlarge it; yield the last `extra_steps` of `total`. Raises EngineError."""
    if request == request.unfinished:
        return drawn
    taken, began, used = total - extra_steps(request, tools), perf_counter(), Used()
    picture, latents, alpha = drawn.pixels, drawn.latents, drawn.alpha
    if tools.faces is not None:
        repaired = yield from _repaired(request, tools.faces, pool, picture)
        yield Step(taken := taken + 1, total, 0.0)
        if repaired is not None:
            picture, latents, used = repaired, None, (tools.faces,)
    if request.upscale is not None:
        width, height = request.finished_size
        enlarging = enlarged(request, tools.upscalers, pool, picture, latents)
        advice = "lower -U, or close other programs that use the memory"
        with _in_memory(f"the picture was enlarged to {width}×{height}", advice, pool):
            picture = yield from _counted(enlarging, taken, total)
        used, latents = (*used, *tools.upscalers), None
        alpha = scaled(alpha, request.finished_size) if alpha is not None else None
    info = _run_info(drawn.info, used, pool, perf_counter() - began)
    return DrawnPicture(picture, latents, info, alpha)


def _repaired(
    request: Request, tool: FaceTool, pool: ModelPool, picture: torch.Tensor
) -> Generator[EngineEvent, None, torch.Tensor | None]:
    with _in_memory("the picture's faces were repaired", "close other programs that use the memory", pool):
        repaired = yield from tool.repair(picture.numpy(), request)
    return None if repaired is None else torch.from_numpy(repaired)


def _counted(
    enlarging: Generator[float, None, torch.Tensor], before: int, total: int
) -> Generator[EngineEvent, None, torch.Tensor]:
    """Turn the timesteps of `enlarging` into Steps that follow the first `before` of `total`."""
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
    """Turn an out-of-memory error into an EngineError that says what was being done."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        free(pool.place)
        raise EngineError(
            f"out of memory while {doing}; it is kept unchanged", code="out_of_memory", hint=advice
        ) from error


def _run_info(drawn: RunInfo, used: Used, pool: ModelPool, seconds: float) -> RunInfo:
    """Add the tools in use and the time taken to the record of the drawing."""
    info = replace(drawn, seconds=drawn.seconds + seconds)
    if not used:
        return info
    kinds = (("face" if isinstance(tool, FaceTool) else "upscaler", tool) for tool in used)
    hashes = {f"{kind} {tool.name}": tool.weights_hash.result() for kind, tool in kinds}
    place = pool.place
    return replace(info, hashes=info.hashes | hashes, device=place.device_name, dtype=place.dtype_name)


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
    if request.upscaler is not None:
        upscalers = [used for tool in upscalers for used in _repeated(request, tool)]
    return Postprocessors(faces, tuple(upscalers))


def _repeated(request: Request, tool: Upscaler) -> list[Upscaler]:
    """Repeat a named tool until the factor is reached. Raises RequestError if its powers do not match the factor."""
    assert request.upscale is not None
    factor, count = request.upscale[0], passes(request, tool.factor)
    if tool.fixed_factor and tool.factor**count != factor:
        raise RequestError(
            f"-U {render_number(factor)}: {tool.name} enlarges {tool.factor} times, "
            f"or {tool.factor**2} times when used twice",
            code="bad_factor",
            hint=f"-U {tool.factor}",
        )
    return [tool] * count

"""A drawn picture is enlarged: by `-U`'s factor with the tools that the request names."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from invoke.engine import images
from invoke.engine.devices import free, is_out_of_memory
from invoke.engine.finishing.latent_upscaler import LatentUpscaler
from invoke.engine.finishing.tool import Upscaler
from invoke.engine.networks import Networks
from invoke.errors import EngineError
from invoke.events import Drawn, EngineEvent, Facts, Finished, Pixels, Started, Step
from invoke.request import Request

Drawing = Generator[EngineEvent, None, "torch.Tensor | None"]
"""What happens while a picture is drawn; returns its latents where they decode to exactly that picture."""


def finished(request: Request, tools: tuple[Upscaler, ...], networks: Networks, drawing: Drawing) -> Drawing:
    """The events of `drawing`, with the steps of `tools` counted in, and with the larger picture at the end.

    A picture that was drawn is not lost where a tool fails: it is finished as it is, then the error is raised.
    Raises what `drawing` raises, and EngineError.
    """
    if request.upscale is None:
        return (yield from drawing)
    more = _steps(request, tools)
    drawn, total, latents = yield from _drawn(request, more, drawing)
    yield Drawn(drawn)
    began = perf_counter()
    try:
        picture = yield from _counted(_enlarged(request, tools, networks, drawn.image, latents), total, total + more)
    except (EngineError, RuntimeError) as error:
        if not isinstance(error, EngineError) and not is_out_of_memory(error):
            raise
        yield drawn
        raise _failed(request, networks, error) from error
    facts = _facts(drawn.facts, tools, networks, perf_counter() - began)
    yield Finished(request, images.to_pixels(picture), facts)
    return None


def _drawn(
    request: Request, more: int, drawing: Drawing
) -> Generator[EngineEvent, None, tuple[Finished, int, "torch.Tensor | None"]]:
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


def _enlarged(
    request: Request,
    tools: tuple[Upscaler, ...],
    networks: Networks,
    image: Pixels,
    latents: torch.Tensor | None,
) -> Generator[float, None, torch.Tensor]:
    """`image` after all tools, blended with its plain enlargement: `-U`'s strength is the tools' share."""
    assert request.upscale is not None
    picture = _picture(image)
    size, strength = request.finished_size, request.upscale[1]
    plain = _scaled(picture, size)
    for index, tool in enumerate(tools):
        start = latents if index == 0 and latents is not None and _reads(tool, request, networks) else None
        with closing(tool.enlarge(picture, start, request)) as steps:
            picture = yield from steps
    made = _scaled(picture, size) if tools else plain
    return (plain + (made.float() - plain) * strength).round().to(torch.uint8)


def _reads(tool: Upscaler, request: Request, networks: Networks) -> bool:
    """Whether latents of the model that has drawn can be handed on, without a decoder and an encoder in between."""
    return isinstance(tool, LatentUpscaler) and tool.reads(networks.model(request.model).vae)


def _steps(request: Request, tools: tuple[Upscaler, ...]) -> int:
    width, height = request.size
    count = 0
    for tool in tools:
        count += tool.steps(request, width, height)
        width, height = width * tool.factor, height * tool.factor
    return count


def _facts(drawn: Facts, tools: tuple[Upscaler, ...], networks: Networks, seconds: float) -> Facts:
    """What is recorded beside what was recorded of the drawing."""
    facts = replace(drawn, seconds=drawn.seconds + seconds)
    if not tools:
        return facts
    hashes = {f"upscaler {tool.name}": tool.weights_hash.result() for tool in tools}
    place = networks.place
    return replace(facts, hashes=facts.hashes | hashes, device=place.device_name, dtype=place.dtype_name)


def _failed(request: Request, networks: Networks, error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    free(networks.place)
    width, height = request.finished_size
    return EngineError(
        f"out of memory while the picture was enlarged to {width}×{height}; it is kept as it was before",
        code="out_of_memory",
        hint="lower -U, or close what else uses the memory",
    )


def _picture(pixels: Pixels) -> torch.Tensor:
    flat = np.frombuffer(pixels.data, np.uint8).reshape(pixels.height, pixels.width, 3)
    return torch.from_numpy(flat.copy())


def _scaled(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`picture` at (width, height), by Lanczos."""
    from PIL import Image

    image: Any = Image.fromarray(picture.numpy())
    if image.size == size:
        return picture
    return torch.from_numpy(np.array(image.resize(size, Image.Resampling.LANCZOS)))

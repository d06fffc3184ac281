"""Upscaler: what is asked of a network that enlarges pictures; and several of them in a row."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.postprocess.faces import FaceTool
from invoke.engine.postprocess.latent_upscaler import LatentUpscaler
from invoke.request import Request


class Upscaler(Protocol):
    """A loaded tool."""

    @property
    def name(self) -> str: ...
    @property
    def factor(self) -> int:
        """How many times wider and higher the picture becomes."""
        ...

    @property
    def fixed_factor(self) -> bool:
        """Whether the tool is only for its own factor and the powers of it; else the result may be shrunk."""
        ...

    @property
    def weights_hash(self) -> BackgroundHash: ...

    def steps(self, request: Request, width: int, height: int) -> int:
        """How many steps enlarging a picture of `width` × `height` takes."""
        ...

    def enlarge(
        self, picture: torch.Tensor, latents: torch.Tensor | None, request: Request
    ) -> Generator[float, None, torch.Tensor]:
        """Yield the timestep after each step, then return the larger picture.

        Pictures are bytes, height × width × 3, on the CPU. `latents` decode to `picture` with the VAE of the model
        that drew it. Raises EngineError.
        """
        ...


def enlarging_steps(request: Request, tools: tuple[Upscaler, ...]) -> int:
    """How many steps `enlarged` takes."""
    width, height = request.size
    count = 0
    for tool in tools:
        count += tool.steps(request, width, height)
        width, height = width * tool.factor, height * tool.factor
    return count


def enlarged(
    request: Request,
    tools: tuple[Upscaler, ...],
    pool: ModelPool,
    picture: torch.Tensor,
    latents: torch.Tensor | None,
) -> Generator[float, None, torch.Tensor]:
    """`picture` after all tools, blended with its plain enlargement: `-U`'s strength is the tools' share.

    `latents`, where there are any, decode to `picture` with the VAE of the model that drew it. Raises EngineError.
    """
    assert request.upscale is not None
    size, strength = request.finished_size, request.upscale[1]
    plain = scaled(picture, size)
    for index, tool in enumerate(tools):
        start = latents if index == 0 and latents is not None and _reads(tool, request, pool) else None
        with closing(tool.enlarge(picture, start, request)) as steps:
            picture = yield from steps
    made = scaled(picture, size) if tools else plain
    return (plain + (made.float() - plain) * strength).round().to(torch.uint8)


def _reads(tool: Upscaler, request: Request, pool: ModelPool) -> bool:
    """Whether latents of the model that has drawn can be handed on, without a decoder and an encoder in between."""
    return isinstance(tool, LatentUpscaler) and tool.reads(pool.model(request.model).vae)


def scaled(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`picture` at (width, height), by Lanczos."""
    from PIL import Image

    image: Any = Image.fromarray(picture.numpy())
    if image.size == size:
        return picture
    return torch.from_numpy(np.array(image.resize(size, Image.Resampling.LANCZOS)))


@dataclass(frozen=True, eq=False)
class Postprocessors:
    """What a picture is finished with."""

    faces: FaceTool | None
    upscalers: tuple[Upscaler, ...]
    """In the order in which they are used."""

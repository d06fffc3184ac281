"""Upscaler: the protocol of networks that enlarge pictures; applying several in a row.

They are loaded in `upscaler_loading.py`. CONTRIBUTING tells how to add one.
"""

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
    """A loaded upscaler."""

    @property
    def name(self) -> str: ...
    @property
    def factor(self) -> int:
        """The factor by which width and height grow."""
        ...

    @property
    def fixed_factor(self) -> bool:
        """Whether only powers of its factor are allowed; if not, the result may be scaled down to other factors."""
        ...

    @property
    def weights_hash(self) -> BackgroundHash: ...

    def steps(self, request: Request, width: int, height: int) -> int:
        """How many steps it takes for a picture of `width` × `height`."""
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
    """Apply all tools to `picture` and blend the result with a plain enlargement by `-U`'s strength.

    `latents`, if given, decode to `picture` with the VAE of the model that drew it. Raises EngineError.
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
    """Whether the tool can use the latents of the model that drew the picture, without decoding and encoding."""
    return isinstance(tool, LatentUpscaler) and tool.reads(pool.model(request.model).vae)


def scaled(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Scale `picture` to (width, height) with Lanczos."""
    from PIL import Image

    image: Any = Image.fromarray(picture.numpy())
    if image.size == size:
        return picture
    return torch.from_numpy(np.array(image.resize(size, Image.Resampling.LANCZOS)))


@dataclass(frozen=True, eq=False)
class Postprocessors:
    """The loaded postprocessors of a picture."""

    faces: FaceTool | None
    upscalers: tuple[Upscaler, ...]
    """In order of use."""

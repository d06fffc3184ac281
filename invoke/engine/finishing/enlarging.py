"""A picture is enlarged by `-U`'s factor, with the tools that the request names."""

from collections.abc import Generator
from contextlib import closing
from typing import Any

import numpy as np
import torch

from invoke.engine.finishing.latent_upscaler import LatentUpscaler
from invoke.engine.finishing.tool import Upscaler
from invoke.engine.networks import Networks
from invoke.request import Request


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
    networks: Networks,
    picture: torch.Tensor,
    latents: torch.Tensor | None,
) -> Generator[float, None, torch.Tensor]:
    """`picture` after all tools, blended with its plain enlargement: `-U`'s strength is the tools' share.

    `latents`, where there are any, decode to `picture` with the VAE of the model that drew it. Raises EngineError.
    """
    assert request.upscale is not None
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


def _scaled(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`picture` at (width, height), by Lanczos."""
    from PIL import Image

    image: Any = Image.fromarray(picture.numpy())
    if image.size == size:
        return picture
    return torch.from_numpy(np.array(image.resize(size, Image.Resampling.LANCZOS)))

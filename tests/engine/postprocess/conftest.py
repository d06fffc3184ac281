"""Tools, loaded as the engine loads them."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from invoke.engine.components.devices import Placement
from invoke.engine.postprocess.upscaler import Upscaler
from invoke.engine.postprocess.upscaler_loading import read_upscaler, upscaler
from invoke.models import ModelSpec
from tests.engine.making import scene
from tests.making import a_request

Tool = Callable[..., Upscaler]


@pytest.fixture(scope="session")
def tool() -> Tool:
    def load(path: Path, model: Any = None) -> Upscaler:
        spec = ModelSpec(name=path.stem, weights=str(path), kind="upscaler", family="auto")
        read = read_upscaler(spec, Placement(torch.device("cpu"), torch.float32))
        return upscaler(read, lambda: model)

    return load


def enlarge(
    tool: Upscaler, picture: np.ndarray, latents: torch.Tensor | None = None, **asked: Any
) -> tuple[np.ndarray, int]:
    """The enlarged picture, and the number of steps."""
    request = a_request(**({"prompt": "a fire", "steps": 5, "seed": 7} | asked))
    running: Generator[float, None, torch.Tensor] = tool.enlarge(torch.from_numpy(picture), latents, request)
    steps = 0
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value.numpy(), steps
        steps += 1


def picture(width: int = 64, height: int = 96) -> np.ndarray:
    return scene(width, height)

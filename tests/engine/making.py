"""Small pictures to start from, and helpers to draw and compare."""

from collections.abc import Generator, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from invoke.engine import Engine
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.sampling.model_call import ModelCall, run_eager
from invoke.events import NO_PREVIEWS, EngineEvent, Finished, Loading, Note, Pixels, Previews, Started
from invoke.request import Request

Array = np.ndarray


def asked(predicting: Generator[ModelCall, None, torch.Tensor]) -> torch.Tensor:
    """A model's prediction, with its denoiser called directly."""
    while True:
        try:
            call = next(predicting)
        except StopIteration as end:
            return end.value
        call.set_result(run_eager(call))


def scene(width: int = 64, height: int = 64) -> Array:
    """A picture without two equal neighbours."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 3 % 256, columns * 5 % 256, (rows * 7 + columns * 2) % 256], axis=-1).astype(np.uint8)


def disc(width: int = 64, height: int = 64, radius: float = 18) -> Array:
    """True inside a circle in the middle."""
    rows, columns = np.mgrid[0:height, 0:width]
    return (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < radius**2


def with_alpha(path: Path, picture: Array, alpha: Array) -> Path:
    Image.fromarray(np.dstack([picture, alpha.astype(np.uint8)])).save(path)
    return path


def save(path: Path, picture: Array) -> Path:
    Image.fromarray(picture).save(path)
    return path


def make(engine: DiffusionEngine, request: Request) -> Array:
    """The picture of `request`, height × width × 3."""
    return pixels(events(engine, request))


def image_of(engine: Engine, request: Request, previews: Previews = NO_PREVIEWS) -> Pixels:
    """The same with the engine's events."""
    return finished(engine.generate(request, previews=previews)).image


def events(engine: DiffusionEngine, request: Request) -> list[EngineEvent]:
    return list(engine.generate(request))


def pixels(happened: Iterable[EngineEvent]) -> Array:
    last = finished(happened).image
    return np.frombuffer(last.data, dtype=np.uint8).reshape(last.height, last.width, 3)


def finished(happened: Iterable[EngineEvent]) -> Finished:
    return next(event for event in happened if isinstance(event, Finished))


def started(happened: Iterable[EngineEvent]) -> Started:
    return next(event for event in happened if isinstance(event, Started))


def notes(happened: Iterable[EngineEvent]) -> list[str]:
    return [event.text for event in happened if isinstance(event, Note)]


def loaded(happened: Iterable[EngineEvent]) -> list[str]:
    """What had to be loaded for a picture."""
    return [event.model for event in happened if isinstance(event, Loading)]

"""A session for tests: lines in, pictures and messages out."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from invoke.commands.fix import plans
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.events import Event, Note, Saved, Step
from invoke.language.parse import CommandCall, read
from invoke.models import read_registry
from invoke.options import EngineOptions
from invoke.session import Session

Array = NDArray[np.uint8]


@dataclass
class Result:
    """The result of one line."""

    events: list[Event] = field(default_factory=list)

    @property
    def images(self) -> list[Saved]:
        return [event for event in self.events if isinstance(event, Saved) and event.kind == "image"]

    @property
    def path(self) -> str:
        return self.images[0].path

    @property
    def line(self) -> str:
        """The canonical line of the first picture."""
        return self.images[0].line

    @property
    def pixels(self) -> Array:
        """The first picture, height × width × 3."""
        return read_pixels(self.path)

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    @property
    def calls(self) -> int:
        """How often the denoiser was called for the last picture."""
        return max((event.index for event in self.events if isinstance(event, Step)), default=0)

    def files(self, kind: str) -> list[str]:
        return [event.path for event in self.events if isinstance(event, Saved) and event.kind == kind]


class Studio:
    """A session on the real engine, in this process."""

    def __init__(
        self, model: Path, outdir: Path, defaults: Mapping[str, Any] | None = None, *, models_file: Path | None = None
    ) -> None:
        models = read_registry(models_file)
        self.outdir = outdir
        self.session = Session(
            DiffusionEngine(models, EngineOptions(device="cpu", precision="float32", offline=True)),
            models,
            launch={"model": str(model), "outdir": str(outdir), "steps": 4} | dict(defaults or {}),
        )

    def make(self, line: str) -> Result:
        """Run one line to its end."""
        return Result(list(self.session.submit(line)))

    def fix(self, line: str) -> Result:
        """Carry out a `!fix`."""
        call = read(line)
        assert isinstance(call, CommandCall)
        return Result([event for plan in plans(self.session, call) for event in self.session.run(plan)])

    def stop(self, line: str, step: int) -> None:
        """Begin `line` and close it at the given step."""
        with closing(self.session.submit(line)) as running:
            next(event for event in running if isinstance(event, Step) and event.index == step)


def read_pixels(path: str | Path) -> Array:
    """A picture file as numbers, height × width × 3."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))

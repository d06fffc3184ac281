"""What is asked of a tool that enlarges pictures, whatever is inside."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import torch

from invoke.engine.finishing.faces import FaceTool
from invoke.engine.weights import BackgroundHash
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
    def exact(self) -> bool:
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


@dataclass(frozen=True, eq=False)
class Tools:
    """What a picture is finished with."""

    faces: FaceTool | None
    upscalers: tuple[Upscaler, ...]
    """In the order in which they are used."""

"""DrawnPicture: an image on its way to Finished."""

from dataclasses import dataclass

import torch

from invoke.engine.components.vae import to_pixels
from invoke.events import Finished, RunInfo
from invoke.request import Request


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPicture:
    """What every stage after the decoder takes and returns."""

    pixels: torch.Tensor
    """Bytes, height × width × 3, on the CPU."""
    latents: torch.Tensor | None
    """Where they decode to exactly these pixels."""
    info: RunInfo

    def finished(self, request: Request) -> Finished:
        """The event, as the picture of `request`."""
        return Finished(request, to_pixels(self.pixels), self.info)

"""DrawnPicture: an image on its way to Finished."""

from dataclasses import dataclass, replace

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
    alpha: torch.Tensor | None = None
    """Opacity, bytes, height × width; None: it is opaque."""

    def finished(self, request: Request) -> Finished:
        """The event, as the picture of `request`."""
        image = to_pixels(self.pixels)
        if self.alpha is not None:
            image = replace(image, alpha=self.alpha.contiguous().numpy().tobytes())
        return Finished(request, image, self.info)

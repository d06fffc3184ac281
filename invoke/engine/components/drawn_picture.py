"""DrawnPicture: a decoded image before it becomes a Finished event."""

from dataclasses import dataclass, replace

import torch

from invoke.engine.components.vae import to_pixels
from invoke.events import Finished, RunInfo
from invoke.request import Request


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPicture:
    """A decoded image: taken and returned by each stage of postprocessing."""

    pixels: torch.Tensor
    """Bytes, height × width × 3, on the CPU."""
    latents: torch.Tensor | None
    """The latents that decode to exactly these pixels, if there are any."""
    info: RunInfo
    alpha: torch.Tensor | None = None
    """Opacity, bytes, height × width; None: opaque."""

    def finished(self, request: Request) -> Finished:
        """The event that reports it as the picture of `request`."""
        image = to_pixels(self.pixels)
        if self.alpha is not None:
            image = replace(image, alpha=self.alpha.contiguous().numpy().tobytes())
        return Finished(request, image, self.info)

"""UPSCALERS: the one table of diffusion models that enlarge pictures. CONTRIBUTING tells how to add one."""

from collections.abc import Mapping
from dataclasses import dataclass

from invoke.request import Request


@dataclass(frozen=True, slots=True)
class DiffusionUpscaler:
    """A row of UPSCALERS."""

    factor: int
    most_steps: int = 1000
    """More make no visible difference."""

    def steps(self, request: Request) -> int:
        """The steps of one pass: as many as the drawing takes, within its limit."""
        return min(request.steps, self.most_steps)


LATENT_UPSCALER, SUPER_RESOLUTION = "StableDiffusionLatentUpscalePipeline", "StableDiffusionUpscalePipeline"
UPSCALERS: Mapping[str, DiffusionUpscaler] = {
    LATENT_UPSCALER: DiffusionUpscaler(factor=2, most_steps=20),  # its authors' limit
    SUPER_RESOLUTION: DiffusionUpscaler(factor=4),
}
"""Class of a diffusers pipeline that enlarges pictures → what is known of it without loading it.

`engine/postprocess/upscaler_loading.py` loads them."""

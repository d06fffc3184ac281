"""Half-done latents as a small picture, cheaply."""

import torch

from invoke.engine.images import decode, to_bytes, to_pixels
from invoke.engine.loading import Model
from invoke.engine.schedulers import Level
from invoke.events import Pixels

# Red, green and blue of each of the four channels of Stable Diffusion 1 and 2: a linear fit of its decoder, as
# InvokeAI has it (`sample_to_lowres_estimated_image`)
FACTORS = torch.tensor([[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]])


def preview(model: Model, latents: torch.Tensor, level: Level) -> Pixels:
    """`latents` of noise level `level` as they are, noise and all.

    Variance-exploding latents are scaled back to the size that pictures have. A small VAE decodes at full size;
    for a large one a linear estimate at the latents' size stands in.
    """
    latents = latents / level.scale
    if model.has_small_vae:
        return to_pixels(to_bytes(decode(model.vae, latents)))
    return to_pixels(to_bytes(torch.einsum("bchw,cr->brhw", latents.float().cpu(), FACTORS)))

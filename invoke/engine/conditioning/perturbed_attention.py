"""Perturbed-attention guidance (Ahn et al. 2024): away from what the UNet draws without looking around.

The UNet is asked about the text once more, with self-attention in its middle that sees nothing but itself (the identity
matrix in place of the map). Guidance adds scale · (eps(c) − eps_perturbed(c)); see `Guidance.combined`.
"""

from typing import Any

import torch

from invoke.engine.conditioning.attention import attending
from invoke.engine.conditioning.prompt_to_prompt import with_last_row_twice
from invoke.engine.sampling.model_call import Network

LAYERS = "mid_block."
"""Where the layers are whose self-attention is perturbed: what diffusers' pipelines take if not told otherwise."""


def perturbing(network: Network, unet: Any) -> Network:
    """`network`, which calls `unet`, with one more row at the end: the last one, perturbed.

    It is asked about one row, or two (negative and positive text), of one picture.
    """

    def ask(sample: torch.Tensor, timestep: torch.Tensor, **options: Any) -> tuple[torch.Tensor, ...]:
        rows = len(sample)
        with attending(unet, unet.attn_processors | _processors(unet, rows)):
            return network(
                with_last_row_twice(sample, rows),
                timestep,
                **{name: with_last_row_twice(option, rows) for name, option in options.items()},
            )

    return ask


def _processors(unet: Any, rows: int) -> dict[str, Any]:
    """diffusers' own, which perturb the last of two rows or of three."""
    from diffusers.models.attention_processor import (
        PAGCFGIdentitySelfAttnProcessor2_0,
        PAGIdentitySelfAttnProcessor2_0,
    )

    kind = PAGIdentitySelfAttnProcessor2_0 if rows == 1 else PAGCFGIdentitySelfAttnProcessor2_0
    return {name: kind() for name in unet.attn_processors if name.startswith(LAYERS) and ".attn1." in name}


def can_perturb(unet: Any) -> bool:
    """Whether `unet` has self-attention in its middle."""
    return bool(_processors(unet, 1))

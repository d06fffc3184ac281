"""`--reuse N`: the UNet's deep half is computed at every Nth call and taken from there in between.

DeepCache, Ma et al. (2023), 3.2, with the branch at the outermost block: the deep features change slowly from step to
step, the first and the last block, which draw the details, are computed each time. An approximation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from invoke.engine.calls import Ask


def reusing(unet: Any, every: int) -> Ask:
    """`unet` as it is asked for one picture, call after call; the UNet itself where `every` is 1."""
    if every == 1 or len(unet.up_blocks) < 2:
        return unet  # type: ignore[no-any-return]
    kept: torch.Tensor | None = None
    count = 0

    def ask(sample: torch.Tensor, timestep: torch.Tensor, **options: Any) -> tuple[torch.Tensor, ...]:
        nonlocal kept, count
        # guidance that begins or ends changes the rows
        fresh = kept is None or count % every == 0 or len(kept) != len(sample)
        count = 1 if fresh else count + 1
        if not fresh:
            assert kept is not None
            with _shallow(unet, kept):
                return unet(sample, timestep, **options)  # type: ignore[no-any-return]

        def keep(block: Any, given: Any, deep: torch.Tensor) -> None:
            nonlocal kept
            kept = deep

        seen = unet.up_blocks[-2].register_forward_hook(keep)
        try:
            return unet(sample, timestep, **options)  # type: ignore[no-any-return]
        finally:
            seen.remove()

    return ask


@contextmanager
def _shallow(unet: Any, deep: torch.Tensor) -> Iterator[None]:
    """Within, all blocks but the outermost do nothing, and the last block is given `deep`."""
    for block in unet.down_blocks[1:]:
        block.forward = _passing(len(block.resnets) + len(block.downsamplers or ()))
    if unet.mid_block is not None:
        unet.mid_block.forward = lambda hidden, *_, **__: hidden
    for block in unet.up_blocks[:-1]:
        block.forward = lambda *_, **__: deep
    try:
        yield
    finally:
        for block in (*unet.down_blocks[1:], unet.mid_block, *unet.up_blocks[:-1]):
            if block is not None:
                del block.forward  # the class's own comes back


def _passing(outputs: int) -> Any:
    """Stands for what nobody looks at: as many outputs as the block has."""

    def forward(hidden_states: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        return hidden_states, (hidden_states,) * outputs

    return forward

"""`--reuse N`: computes the UNet's deep blocks only at every Nth call and reuses their output in between.

DeepCache, Ma et al. (2023), 3.2, with the branch at the outermost block: deep features change slowly from step to step;
the first and the last block, which draw the details, are computed each time. An approximation.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from invoke.engine.sampling.model_call import Denoiser, ModelCall, Outputs, call_model


class CachingUNet(torch.nn.Module):
    """A UNet that also returns the output of its deep blocks."""

    def __init__(self, unet: Any) -> None:
        """`unet` must have at least two up blocks."""
        super().__init__()
        self.unet = unet

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, **options: Any) -> Outputs:
        found: list[torch.Tensor] = []
        seen = self.unet.up_blocks[-2].register_forward_hook(lambda block, given, deep: found.append(deep))
        try:
            return (*self.unet(sample, timestep, **options), *found)
        finally:
            seen.remove()


class CachedUNet(torch.nn.Module):
    """A UNet that takes the output of its deep blocks as an input instead of computing it."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, *, deep: torch.Tensor, **options: Any) -> Outputs:
        with _shallow(self.unet, deep):
            return self.unet(sample, timestep, **options)  # type: ignore[no-any-return]


def reusing(full: CachingUNet, shallow: CachedUNet, every: int) -> Denoiser:
    """The denoiser of one picture: calls `full` every Nth time, `shallow` in between."""
    kept: torch.Tensor | None = None
    count = 0

    def ask(sample: torch.Tensor, timestep: torch.Tensor, **options: Any) -> Generator[ModelCall, None, torch.Tensor]:
        nonlocal kept, count
        # the number of rows changes when guidance begins or ends
        fresh = kept is None or count % every == 0 or len(kept) != len(sample)
        count = 1 if fresh else count + 1
        if fresh:
            output, kept = yield from call_model(full, sample, timestep, **options)
        else:
            output, *_ = yield from call_model(shallow, sample, timestep, deep=kept, **options)
        return output  # type: ignore[no-any-return]

    return ask


@contextmanager
def _shallow(unet: Any, deep: torch.Tensor) -> Iterator[None]:
    """Context in which all blocks but the outermost do nothing, and the last up block gets `deep`."""
    skipped = [block for block in (*unet.down_blocks[1:], unet.mid_block, *unet.up_blocks[:-1]) if block is not None]
    hooked = [(block, vars(block)["forward"]) for block in skipped if "forward" in vars(block)]  # `--offload group`
    for block in unet.down_blocks[1:]:
        block.forward = _passing(len(block.resnets) + len(block.downsamplers or ()))
    if unet.mid_block is not None:
        unet.mid_block.forward = lambda hidden, *_, **__: hidden
    for block in unet.up_blocks[:-1]:
        block.forward = lambda *_, **__: deep
    try:
        yield
    finally:
        for block in skipped:
            del block.forward  # restores the class's method
        for block, forward in hooked:
            block.forward = forward


def _passing(outputs: int) -> Any:
    """A `forward` that returns its input as `outputs` placeholder outputs."""

    def forward(hidden_states: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        return hidden_states, (hidden_states,) * outputs

    return forward

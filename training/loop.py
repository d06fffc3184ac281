"""The training loop: a batch, split over the cores, one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor, nn

from training.halves import Halves
from training.run import Run

Model = TypeVar("Model", bound=nn.Module)


def learn(
    run: Run, model: Model, batch: Callable[[], Sequence[Tensor]], loss_of: Callable[[Model, Sequence[Tensor]], Tensor]
) -> None:
    """Train until the time is up. All tensors of `batch` have the samples as first dimension."""
    halves = Halves(model)
    while run.going:
        tensors = batch()
        parts = list(zip(*(tensor.chunk(halves.count) for tensor in tensors), strict=True))

        def part(model: Model, number: int, parts: Sequence[Sequence[Tensor]] = parts) -> Tensor:
            return loss_of(model, parts[number])

        run.step(len(tensors[0]), halves.backward(part))

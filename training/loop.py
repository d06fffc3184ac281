"""The loop of every training: a batch, its parts on their cores, one step."""

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
    """Until the time is up. `batch` gives tensors that all begin with the dimension of the samples."""
    halves = Halves(model)
    while run.going:
        tensors = batch()
        parts = list(zip(*(tensor.chunk(halves.count) for tensor in tensors), strict=True))

        def part(model: Model, number: int, parts: Sequence[Sequence[Tensor]] = parts) -> Tensor:
            return loss_of(model, parts[number])

        run.step(len(tensors[0]), halves.backward(part))

"""Muon for the matrices, Adam for the rest: fewer samples to the same loss than Adam alone (see README.md).

Muon (Jordan et al. 2024): the momentum of a matrix is replaced by the nearest orthogonal one,
found by five Newton-Schulz steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from training.devices import one_core


class Optimiser:
    """Two learning rates, one for matrices and one for the rest; `step(scale)` multiplies both."""

    def __init__(
        self,
        named: Iterable[tuple[str, Tensor]],
        *,
        matrix_rate: float,
        other_rate: float,
    ) -> None:
        self.matrices, others = list[Tensor](), list[Tensor]()
        for name, weight in named:
            plain = weight.ndim >= 2 and min(weight.shape[0], weight[0].numel()) >= 16 and "embedding" not in name
            (self.matrices if plain else others).append(weight)
        self.momenta = [torch.zeros_like(weight) for weight in self.matrices]
        self.matrix_rate, self.other_rate = matrix_rate, other_rate
        self.pool = ThreadPoolExecutor(2, initializer=one_core)
        self.adam = torch.optim.Adam(others, lr=other_rate, betas=(0.9, 0.99))

    @torch.no_grad()
    def step(self, scale: float) -> None:
        pairs = [pair for pair in zip(self.matrices, self.momenta, strict=True) if pair[0].grad is not None]
        list(self.pool.map(lambda pair: self._turn(pair[0], pair[1], scale), pairs))
        self.adam.param_groups[0]["lr"] = self.other_rate * scale
        self.adam.step()
        self.adam.zero_grad()

    @torch.no_grad()
    def _turn(self, weight: Tensor, momentum: Tensor, scale: float) -> None:
        assert weight.grad is not None
        momentum.mul_(0.95).add_(weight.grad)
        ahead = weight.grad.add(momentum, alpha=0.95).flatten(1)
        rate = self.matrix_rate * scale * math.sqrt(max(1.0, ahead.shape[0] / ahead.shape[1]))
        weight.add_(orthogonalised(ahead).view_as(weight), alpha=-rate)
        weight.grad = None

    def state(self) -> dict[str, object]:
        return {"momenta": self.momenta, "adam": self.adam.state_dict()}

    def restore(self, state: dict[str, object]) -> None:
        momenta, adam = state["momenta"], state["adam"]
        assert isinstance(momenta, list)
        assert isinstance(adam, dict)
        for mine, saved in zip(self.momenta, momenta, strict=True):
            mine.copy_(saved)
        self.adam.load_state_dict(adam)


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with all singular values close to 1; bfloat16 is precise enough."""
    x = matrix.bfloat16()
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * (square @ square)) @ x
    result: Tensor = (x if wide else x.T).to(matrix.dtype)
    return result


def warmed_cosine(done: float, *, warm: float = 0.02) -> float:
    """Learning-rate factor at this fraction of the training: a short warm-up, then a cosine."""
    if done < warm:
        return max(0.02, done / warm)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm) / (1 - warm))))

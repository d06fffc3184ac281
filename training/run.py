"""A whole training run: clock, log, checkpoints.

The schedule follows the clock: on any machine the given minutes are used, and end at a small learning rate.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TypeVar

from torch import nn

from training.devices import Average, load_checkpoint, save_checkpoint
from training.optimiser import Optimiser, warmed_cosine

Model = TypeVar("Model", bound=nn.Module)

LOG_EVERY = 50
SAVE_EVERY = 120.0
"""Seconds between checkpoints, the most that a kill can lose."""


def add_options(parser: argparse.ArgumentParser, *, matrix_rate: float = 0.02, other_rate: float = 2e-3) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in OUT")
    parser.add_argument("--start", type=Path, help="begin with the weights of this folder")
    parser.add_argument("--matrix-rate", type=float, default=matrix_rate)
    parser.add_argument("--other-rate", type=float, default=other_rate)
    parser.add_argument("--seed", type=int, default=1)


class Run:
    """`while run.going:` leave gradients in the model, then `run.step(...)`."""

    def __init__(self, name: str, model: nn.Module, options: argparse.Namespace) -> None:
        self.file: Path = options.out / f"{name}.pt"
        self.log = self.file.with_suffix(".csv")
        self.model, self.minutes = model, float(options.minutes)
        learning = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        self.optimiser = Optimiser(learning, matrix_rate=options.matrix_rate, other_rate=options.other_rate)
        self.average = Average(model, 0.998)
        self.done, self.steps, self.seen = 0.0, 0, 0
        self.figures = list[tuple[float, ...]]()
        if options.resume:
            self._restore()
        options.out.mkdir(parents=True, exist_ok=True)
        self.last = self.saved = time.time()

    @property
    def going(self) -> bool:
        return self.done < 1

    def step(self, samples: int, *figures: float) -> None:
        """Use the gradients; the figures (the loss first) are averaged over 50 steps into the log."""
        self.optimiser.step(warmed_cosine(self.done))
        self.average.update(self.model)
        self.steps, self.seen = self.steps + 1, self.seen + samples
        now = time.time()
        self.done, self.last = self.done + (now - self.last) / (60 * self.minutes), now
        self.figures.append(figures)
        if len(self.figures) == LOG_EVERY:
            means = [sum(column) / LOG_EVERY for column in zip(*self.figures, strict=True)]
            self.figures.clear()
            row = [str(self.steps), f"{self.done:.4f}", *(f"{mean:.5f}" for mean in means), str(self.seen)]
            with self.log.open("a") as log:
                log.write(",".join(row) + "\n")
        if now - self.saved > SAVE_EVERY or not self.going:
            self.saved = now
            self._save()

    def averaged(self, model: Model) -> Model:
        """The model with averaged weights, which are shipped."""
        model.load_state_dict(self.average.weights)
        return model.eval()

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state(),
            "average": self.average.weights,
            "average_steps": self.average.steps,
            "done": self.done,
            "step": self.steps,
            "seen": self.seen,
        }
        save_checkpoint(self.file, state)

    def _restore(self) -> None:
        state = load_checkpoint(self.file)
        self.model.load_state_dict(state["model"])
        self.optimiser.restore(state["optimiser"])
        self.average.weights, self.average.steps = state["average"], state["average_steps"]
        self.done, self.steps, self.seen = state["done"], state["step"], state.get("seen", 0)

"""Batches of cached latents, with new captions each time."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from training.captions import caption
from training.devices import device, load_checkpoint
from training.scenes import Scene

DROPPED = 0.1
NATIVE = "256x256"
COMMON = ("photograph", "painting")

Row = tuple[dict[str, Any], int]
"""A shard and the index of one picture in it."""


class Latents:
    """The shards of a file that training.latents (or masks, or edges) wrote; `scale` is the scaling_factor."""

    def __init__(self, file: Path, scale: float, seed: int, *, dropped: float = DROPPED) -> None:
        self.rng, self.dropped = Random(seed), dropped
        self.by_size: dict[str, list[dict[str, Any]]] = {}
        for shard in load_checkpoint(file)["shards"]:
            shard["scenes"] = [Scene(**row) for row in shard["scenes"]]
            for name in ("latents", "masked", "grey"):
                if name in shard:
                    shard[name] = shard[name].float() * scale
            self.by_size.setdefault(shard["name"].split("-")[0], []).append(shard)

    def rows(self, count: int, *, others: float = 0.0) -> list[Row]:
        """Pictures of one size. `others`: the probability that it is not the native one. Larger ones are fewer."""
        sizes = [size for size in self.by_size if size != NATIVE]
        size = self.rng.choice(sizes) if sizes and self.rng.random() < others else NATIVE
        shards = self.by_size[size]
        height, width = shards[0]["latents"].shape[2:]
        return [self._choice(shards) for _ in range(max(min(count, 4), count * 256 // max(256, height * width)))]

    def captions(self, rows: list[Row]) -> list[str]:
        """Random captions of these pictures; some are empty, as guidance requires."""
        return [
            "" if self.rng.random() < self.dropped else caption(shard["scenes"][index], self.rng)
            for shard, index in rows
        ]

    def batch(self, count: int, *, others: float = 0.0) -> tuple[Tensor, list[str]]:
        rows = self.rows(count, others=others)
        return stacked(rows, "latents"), self.captions(rows)

    def _choice(self, shards: list[dict[str, Any]]) -> Row:
        """A random picture, with the two common styles half as often, since the rare ones are harder."""
        while True:
            shard = self.rng.choice(shards)
            index = self.rng.randrange(len(shard["scenes"]))
            if shard["scenes"][index].style not in COMMON or self.rng.random() < 0.5:
                return shard, index


def stacked(rows: list[Row], name: str) -> Tensor:
    """The shards' tensor of this name, one entry per row, on the training device."""
    return torch.stack([shard[name][index] for shard, index in rows]).to(device())

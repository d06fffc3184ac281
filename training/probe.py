"""An additional output of the judge: whether a picture shows a balloon, which it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from training.dataset import scenes_of
from training.judge import Judge, looked_at
from training.scenes import draw


def balloon_probe(judge: Judge) -> nn.Linear:
    """An additional output on the judge's features, trained on drawings; prints its accuracy on others."""
    balloons = scenes_of(910, 400, subject="balloon")
    drawings = [draw(scene, width=192, height=192) for scene in [*balloons, *scenes_of(911, 800)]]
    features = _features(judge, drawings)
    labels = torch.cat([torch.ones(400), torch.zeros(800)])
    train = torch.arange(1200) % 4 != 0
    torch.manual_seed(1)
    probe = nn.Linear(features.shape[1], 1)
    optimiser = torch.optim.AdamW(probe.parameters(), lr=3e-3, weight_decay=0.05)
    for _ in range(300):
        loss = functional.binary_cross_entropy_with_logits(probe(features[train])[:, 0], labels[train])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        right = (probe(features[~train])[:, 0] > 0) == (labels[~train] > 0)
    print(f"the probe on drawings it has not seen: {float(right.float().mean()):.1%}")
    return probe


@torch.no_grad()
def seen_as_balloons(judge: Judge, probe: nn.Linear, pictures: Sequence[Image.Image]) -> list[bool]:
    return [bool(answer > 0) for answer in probe(_features(judge, pictures))[:, 0]]


@torch.no_grad()
def _features(judge: Judge, pictures: Sequence[Image.Image]) -> torch.Tensor:
    seen: torch.Tensor = judge.eyes(looked_at(pictures))
    return seen

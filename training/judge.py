"""A classifier that says what a picture shows. It measures the model and never trains it.

python -m training.judge --out FILE [--count 9000]

It draws its own pictures, trains, and prints its accuracy on drawings that it has not seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from training.backdrop import GROUNDS
from training.devices import load_checkpoint, save_checkpoint
from training.scenes import Scene, draw, random_scene
from training.sky import SKIES
from training.styles import STYLES
from training.subjects import SUBJECTS

QUESTIONS: dict[str, tuple[str, ...]] = {
    "subject": tuple(SUBJECTS),
    "ground": tuple(GROUNDS),
    "sky": tuple(SKIES),
    "style": tuple(STYLES),
}
SIZE = 96
EPOCHS = 14


class Judge(nn.Module):
    """Five convolutions, and one output per question."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 24), (24, 48), (48, 96), (96, 128), (128, 160)):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.eyes = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2))
        self.answers = nn.ModuleDict(
            {question: nn.Linear(160 * 9, len(choices)) for question, choices in QUESTIONS.items()}
        )

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        seen = self.eyes(pictures)
        return {question: answer(seen) for question, answer in self.answers.items()}


def looked_at(pictures: Sequence[Image.Image]) -> Tensor:
    """The judge's input for pictures of any size: small squares, -1..1."""
    small = [np.asarray(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)) for picture in pictures]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def verdicts(judge: Judge, pictures: Sequence[Image.Image]) -> list[dict[str, str]]:
    answers = judge(looked_at(pictures))
    return [
        {question: QUESTIONS[question][int(answer[i].argmax())] for question, answer in answers.items()}
        for i in range(len(pictures))
    ]


@torch.no_grad()
def chances(judge: Judge, pictures: Sequence[Image.Image], question: str, answer: str) -> list[float]:
    """The judge's probability of one answer to one question, per picture."""
    shares = judge(looked_at(pictures))[question].softmax(dim=1)
    return [float(share) for share in shares[:, QUESTIONS[question].index(answer)]]


def read_judge(file: Path) -> Judge:
    judge = Judge()
    judge.load_state_dict(load_checkpoint(file))
    return judge.eval()


def labels_of(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """The right answers; indoors there is no sky (-100, ignored)."""
    rows = [
        {question: choices.index(getattr(scene, question)) for question, choices in QUESTIONS.items()}
        for scene in scenes
    ]
    for row, scene in zip(rows, scenes, strict=True):
        row["sky"] = -100 if scene.ground == "fireplace" else row["sky"]
    return {question: torch.tensor([row[question] for row in rows]) for question in QUESTIONS}


def disturbed(pictures: Tensor) -> Tensor:
    """Random mirroring, brightness, blur and noise: small flaws must not change the answer."""
    pictures = torch.where(torch.rand(len(pictures), 1, 1, 1) < 0.5, pictures.flip(3), pictures)
    blurred = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    pictures = torch.lerp(pictures, blurred, torch.rand(len(pictures), 1, 1, 1))
    gain, shift = 1 + 0.15 * torch.randn(len(pictures), 1, 1, 1), 0.08 * torch.randn(len(pictures), 3, 1, 1)
    return pictures * gain + shift + 0.06 * torch.rand(len(pictures), 1, 1, 1) * torch.randn_like(pictures)


def accuracy(judge: Judge, pictures: Tensor, labels: dict[str, Tensor]) -> dict[str, float]:
    judge.eval()
    with torch.no_grad():
        answers = judge(pictures)
    shares = {}
    for question, label in labels.items():
        asked = label >= 0
        shares[question] = float((answers[question].argmax(dim=1) == label)[asked].float().mean())
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=9000)
    options = parser.parse_args()
    torch.manual_seed(1)
    rng, began = Random("the judge's own pictures"), time.time()
    scenes = [random_scene(rng) for _ in range(options.count + 1000)]
    pictures = torch.cat([looked_at([draw(scene, width=192, height=192)]) for scene in scenes])
    labels = labels_of(scenes)
    judge = Judge()
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    steps = EPOCHS * options.count // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps + 1)
    for _ in range(steps):
        chosen = torch.randint(0, options.count, (64,))
        answers = judge.train()(disturbed(pictures[chosen]))
        loss = sum(
            (functional.cross_entropy(answers[question], label[chosen]) for question, label in labels.items()),
            torch.zeros(()),
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    held = accuracy(
        judge,
        pictures[options.count :],
        {question: label[options.count :] for question, label in labels.items()},
    )
    print(
        "held-out drawings:",
        " ".join(f"{question} {share:.1%}" for question, share in held.items()),
        f"({time.time() - began:.0f} s)",
    )
    save_checkpoint(options.out, judge.state_dict())


if __name__ == "__main__":
    main()

"""The prompts for measuring the model, and the judge's verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from training.captions import AFLOAT_WORDS, GROUND_WORDS, SKY_WORDS, STYLE_FIRST, STYLE_LAST, SUBJECT_WORDS
from training.dataset import scenes_of
from training.judge import QUESTIONS, Judge, verdicts
from training.scenes import SWIMMERS, Scene

STEPS = 25
BATCH = 8


def prompt_of(scene: Scene, rng: Random) -> str:
    """A complete caption of a scene."""
    ground = AFLOAT_WORDS if scene.subject in SWIMMERS and scene.ground == "sea" else GROUND_WORDS[scene.ground]
    words = f"{rng.choice(SUBJECT_WORDS[scene.subject])} {rng.choice(ground)}"
    if scene.ground != "fireplace":
        words = f"{words} {rng.choice(SKY_WORDS[scene.sky])}"
    return (
        f"{rng.choice(STYLE_FIRST[scene.style])} {words}"
        if rng.random() < 0.5
        else f"{words}, {rng.choice(STYLE_LAST[scene.style])}"
    )


def asked_scenes(count: int) -> list[Scene]:
    """Scenes with held-out combinations of subject, ground, sky and style."""
    return [scene for scene in scenes_of(900, 3 * count, held=True) if scene.subject != "none"][:count]


def generated(
    model: StableDiffusionPipeline,
    prompts: Sequence[str],
    *,
    guidance: float,
    negative: str = "",
    steps: int = STEPS,
    first_seed: int = 1,
    width: int = 256,
    height: int = 256,
) -> list[Image.Image]:
    """One picture to each prompt, seeds counted from the first."""
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), BATCH):
        some = list(prompts[start : start + BATCH])
        generators = [torch.Generator().manual_seed(first_seed + start + i) for i in range(len(some))]
        pictures += model(
            some,
            guidance_scale=guidance,
            negative_prompt=[negative] * len(some),
            num_inference_steps=steps,
            generator=generators,
            width=width,
            height=height,
        ).images
    return pictures


def shares_kept(judge: Judge, pictures: Sequence[Image.Image], scenes: Sequence[Scene]) -> dict[str, float]:
    """For each question, the fraction of pictures for which the judge's answer matches the prompt."""
    said = verdicts(judge, pictures)
    shares = {}
    for question in QUESTIONS:
        pairs = [
            (answer, scene)
            for answer, scene in zip(said, scenes, strict=True)
            if question != "sky" or scene.ground != "fireplace"
        ]
        shares[question] = sum(answer[question] == getattr(scene, question) for answer, scene in pairs) / len(pairs)
    return shares


def report(shares: dict[str, float]) -> str:
    return "  ".join(f"{question} {share:.1%}" for question, share in shares.items())

"""The figures of pocket's companions, each compared with the same pictures without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline
from PIL import Image

from training.asked import STEPS, asked_scenes, generated, prompt_of
from training.captions import GROUND_WORDS, STYLE_FIRST, SUBJECT_WORDS
from training.companions import WORD, balloons, blueprints, control, inpainting, upscaler
from training.dataset import scenes_of
from training.edges import edge_picture, edges
from training.judge import Judge, verdicts
from training.likeness import agreement, decibels, mean_colours, paper_and_lines, sharpness
from training.probe import balloon_probe, seen_as_balloons
from training.scenes import SWIMMERS, draw
from training.test_pictures import hole_of

SIZE = 256


def measure_holes(model: StableDiffusionPipeline, judge: Judge) -> None:
    """A subject painted into a hole over another drawing's subject, with 4 and with 9 channels."""
    cases = [scene for scene in asked_scenes(120) if scene.ground != "fireplace" and scene.subject not in SWIMMERS][:60]
    wanted = [case.subject for case in [*cases[7:], *cases[:7]]]
    rng = Random(10)
    prompts = [
        in_words(case.style, rng.choice(SUBJECT_WORDS[subject]), case.ground, rng)
        for case, subject in zip(cases, wanted, strict=True)
    ]
    hole = hole_of(width=SIZE, height=SIZE).point(lambda value: 255 - value)
    for name, pipeline in (("4", StableDiffusionInpaintPipeline.from_pipe(model)), ("9", inpainting())):
        pipeline.set_progress_bar_config(disable=True)
        results = [
            pipeline(
                prompt,
                image=draw(case, width=SIZE, height=SIZE),
                mask_image=hole,
                height=SIZE,
                width=SIZE,
                strength=1.0,
                guidance_scale=6.0,
                num_inference_steps=STEPS,
                generator=torch.Generator().manual_seed(i),
            ).images[0]
            for i, (case, prompt) in enumerate(zip(cases, prompts, strict=True))
        ]
        said = [answer["subject"] for answer in verdicts(judge, results)]
        wrong = [f"{asked}→{got}" for asked, got in zip(wanted, said, strict=True) if asked != got]
        print(f"{name} channels: {1 - len(wrong) / len(said):.1%} of {len(said)} recognised; not: {', '.join(wrong)}")


def measure_control(model: StableDiffusionPipeline, judge: Judge) -> None:
    """Agreement of the picture's edges with the control image, without and with the ControlNet."""
    cases = asked_scenes(24)
    rng = Random(11)
    prompts = [prompt_of(case, rng) for case in cases]
    shown = [edge_picture(draw(case, width=SIZE, height=SIZE)) for case in cases]
    pipeline = control()
    pipeline.set_progress_bar_config(disable=True)
    steered = [
        pipeline(
            prompt,
            image=picture,
            guidance_scale=6.0,
            num_inference_steps=STEPS,
            generator=torch.Generator().manual_seed(1 + i),
        ).images[0]
        for i, (prompt, picture) in enumerate(zip(prompts, shown, strict=True))
    ]
    for name, results in (("without", generated(model, prompts, guidance=6.0)), ("with", steered)):
        asked = [np.asarray(picture)[:, :, 0] > 0 for picture in shown]
        scores = [agreement(edges(np.asarray(one)), other) for one, other in zip(results, asked, strict=True)]
        said = verdicts(judge, results)
        right = np.mean([answer["subject"] == case.subject for answer, case in zip(said, cases, strict=True)])
        print(f"{name}: edges agree to {np.mean(scores):.3f} (F1), subject {right:.1%}")


def measure_lora(model: StableDiffusionPipeline, judge: Judge) -> None:
    """Blueprints without and with the LoRA: blue paper, pale lines, and how far the mean colour is from drawings'.

    The autoencoder never saw a blueprint either: what it makes of the drawings ("decoded") is the best to expect.
    """
    cases = [replace(scene, style="blueprint") for scene in asked_scenes(24)]
    rng = Random(12)
    prompts = [prompt_of(case, rng) for case in cases]
    drawn = [draw(case, width=SIZE, height=SIZE) for case in cases]
    pipeline = blueprints()
    pipeline.set_progress_bar_config(disable=True)
    without, styled = (generated(one, prompts, guidance=5.0) for one in (model, pipeline))
    decoded = [_decoded(model, _encoded(model, picture)) for picture in drawn]
    wanted = mean_colours(drawn)
    for name, results in (("drawings", drawn), ("decoded", decoded), ("without", without), ("with", styled)):
        blue, white = zip(*(paper_and_lines(picture) for picture in results), strict=True)
        distance = np.abs(mean_colours(results) - wanted).mean()
        print(f"{name}: {np.mean(blue):.1%} blue, {np.mean(white):.1%} pale, mean colour {distance:.3f} off")


def measure_inversion(model: StableDiffusionPipeline, judge: Judge) -> None:
    """Prompts with <balloon> and, without the inversion, balloon; a probe recognises balloons."""
    probe = balloon_probe(judge)
    rng = Random(13)
    cases = [scene for scene in asked_scenes(40) if scene.ground != "fireplace"]
    prompts = [in_words(case.style, f"a {WORD}", case.ground, rng) for case in cases]
    pipeline = balloons()
    pipeline.set_progress_bar_config(disable=True)
    plain = [prompt.replace(WORD, "balloon") for prompt in prompts]
    for name, results in (
        ("without", generated(model, plain, guidance=5.0)),
        ("with", generated(pipeline, prompts, guidance=5.0)),
    ):
        print(f"{name}: {np.mean(seen_as_balloons(judge, probe, results)):.1%} of {len(results)} seen as balloons")


def measure_upscaler(model: StableDiffusionPipeline, judge: Judge) -> None:
    """Drawings of 256 pixels enlarged to 512, compared with the same scenes drawn at 512."""
    pipeline = upscaler()
    pipeline.set_progress_bar_config(disable=True)
    figures: dict[str, list[tuple[float, float]]] = {}
    for i, scene in enumerate(scenes_of(903, 24, held=True)):
        small, large = (draw(scene, width=edge, height=edge) for edge in (SIZE, 2 * SIZE))
        latents = _encoded(model, small)
        again = _decoded(model, latents)
        enlarged = pipeline(
            "", image=latents, num_inference_steps=20, guidance_scale=0, generator=torch.Generator().manual_seed(i)
        ).images[0]
        for name, result in (
            ("bicubic from the drawing", _bicubic(small)),
            ("bicubic from the decoded latents", _bicubic(again)),
            ("upscaler from the latents", enlarged),
            ("latents of the large drawing", _decoded(model, _encoded(model, large))),
        ):
            figures.setdefault(name, []).append((decibels(result, large), sharpness(result) / sharpness(large)))
    for name, rows in figures.items():
        psnr, sharp = np.mean(rows, axis=0)
        print(f"{name}: PSNR {psnr:.2f} dB, sharpness {sharp:.2f} of the drawing's")


def in_words(style: str, subject: str, ground: str, rng: Random) -> str:
    return f"{rng.choice(STYLE_FIRST[style])} {subject} {rng.choice(GROUND_WORDS[ground])}"


def _bicubic(picture: Image.Image) -> Image.Image:
    return picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.BICUBIC)


@torch.no_grad()
def _encoded(model: StableDiffusionPipeline, picture: Image.Image) -> torch.Tensor:
    pixels = torch.from_numpy(np.asarray(picture, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    latents: torch.Tensor = model.vae.encode(pixels).latent_dist.mode() * model.vae.config.scaling_factor
    return latents


@torch.no_grad()
def _decoded(model: StableDiffusionPipeline, latents: torch.Tensor) -> Image.Image:
    pixels = model.vae.decode(latents / model.vae.config.scaling_factor).sample[0].clamp(-1, 1)
    return Image.fromarray(((pixels.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8))


FIGURES: dict[str, Callable[[StableDiffusionPipeline, Judge], None]] = {
    "holes": measure_holes,
    "control": measure_control,
    "lora": measure_lora,
    "inversion": measure_inversion,
    "upscaler": measure_upscaler,
}

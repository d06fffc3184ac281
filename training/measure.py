"""The figures of the pocket model, each printed by its own command.

python -m training.measure vae|pictures|guidance|negative|img2img|sketch|speed [--model FOLDER] [--judge FILE]
python -m training.measure holes|control|lora|inversion|upscaler        of what goes with it
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import AutoPipelineForImage2Image, StableDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image

from training import measure_companions
from training.asked import STEPS, asked_scenes, generated, prompt_of, report, shares_kept
from training.captions import GROUND_WORDS, SUBJECT_WORDS
from training.dataset import scenes_of
from training.judge import Judge, chances, read_judge, verdicts
from training.scenes import draw
from training.styles import STYLES


def measure_vae(model: StableDiffusionPipeline, judge: Judge) -> None:
    """PSNR of the autoencoder on held-out drawings, by style."""
    for style in STYLES:
        errors = []
        for scene in scenes_of(901, 40, held=True):
            picture = np.asarray(draw(replace(scene, style=style), width=256, height=256), dtype=np.float32) / 127.5 - 1
            pixels = torch.from_numpy(picture).permute(2, 0, 1)[None]
            with torch.no_grad():
                again = model.vae.decode(model.vae.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1)
            errors.append(10 * np.log10(4 / float((again - pixels).square().mean())))
        print(f"{style:12} PSNR {np.mean(errors):.2f} dB (worst {min(errors):.2f})")


def measure_pictures(model: StableDiffusionPipeline, judge: Judge) -> None:
    """The judge on 200 prompts with held-out combinations, at two guidance scales."""
    scenes = asked_scenes(200)
    rng = Random(5)
    prompts = [prompt_of(scene, rng) for scene in scenes]
    for guidance in (5.0, 7.5):
        pictures = generated(model, prompts, guidance=guidance)
        print(f"guidance {guidance}: {report(shares_kept(judge, pictures, scenes))}")
        wrong = [
            f"{scene.subject}→{said['subject']}"
            for said, scene in zip(verdicts(judge, pictures), scenes, strict=True)
            if said["subject"] != scene.subject
        ]
        print("   subjects mistaken:", ", ".join(wrong) if wrong else "none")


def measure_guidance(model: StableDiffusionPipeline, judge: Judge) -> None:
    """Subject accuracy at rising guidance."""
    scenes = asked_scenes(100)
    rng = Random(6)
    prompts = [prompt_of(scene, rng) for scene in scenes]
    for guidance in (1.0, 2.0, 3.0, 5.0):
        pictures = generated(model, prompts, guidance=guidance)
        print(f"guidance {guidance}: {report(shares_kept(judge, pictures, scenes))}")


def measure_negative(model: StableDiffusionPipeline, judge: Judge) -> None:
    """Night pictures of prompts without a time of day, without and with [night]."""
    rng = Random(7)
    prompts = [rng.choice(SUBJECT_WORDS[scene.subject]) for scene in asked_scenes(100)]
    for negative in ("", "night"):
        pictures = generated(model, prompts, guidance=5.0, negative=negative)
        nights = chances(judge, pictures, "sky", "night")
        dark = sum(chance > 0.5 for chance in nights)
        print(f"negative [{negative}]: {dark} of {len(nights)} at night, mean chance {np.mean(nights):.3f}")


def measure_img2img(model: StableDiffusionPipeline, judge: Judge) -> None:
    """Distance of the result from the init picture at rising strength, on 30 cases."""
    again = AutoPipelineForImage2Image.from_pipe(model)
    again.set_progress_bar_config(disable=True)
    cases = scenes_of(902, 30, held=True)
    wanted = asked_scenes(30)
    rng = Random(8)
    prompts = [prompt_of(scene, rng) for scene in wanted]
    starts = [draw(case, width=256, height=256) for case in cases]
    for strength in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        distances, likenesses = [], []
        for i, (start, prompt) in enumerate(zip(starts, prompts, strict=True)):
            result = again(
                prompt,
                image=start,
                strength=strength,
                guidance_scale=6.0,
                num_inference_steps=STEPS,
                generator=torch.Generator().manual_seed(i),
            ).images[0]
            one, two = _grey(start), _grey(result)
            distances.append(float(np.abs(one - two).mean()))
            likenesses.append(float(np.corrcoef(_edges(one).ravel(), _edges(two).ravel())[0, 1]))
        print(
            f"strength {strength}: mean pixel distance {np.mean(distances):.4f}, "
            f"edge correlation {np.mean(likenesses):.3f}"
        )


def measure_sketch(model: StableDiffusionPipeline, judge: Judge) -> None:
    """Sketches turned into photographs at strength 0.75: the contents stay, the style changes."""
    again = AutoPipelineForImage2Image.from_pipe(model)
    again.set_progress_bar_config(disable=True)
    cases = [replace(scene, style="pencil") for scene in asked_scenes(60)]
    rng = Random(9)
    pictures = []
    for i, case in enumerate(cases):
        prompt = f"photograph of {rng.choice(SUBJECT_WORDS[case.subject])} {rng.choice(GROUND_WORDS[case.ground])}"
        pictures += again(
            prompt,
            image=draw(case, width=256, height=256),
            strength=0.75,
            guidance_scale=6.0,
            num_inference_steps=STEPS,
            generator=torch.Generator().manual_seed(i),
        ).images
    print(
        "sketch → photograph:",
        report(shares_kept(judge, pictures, [replace(case, style="photograph") for case in cases])),
    )


def measure_speed(model: StableDiffusionPipeline, judge: Judge) -> None:
    """Seconds for one 256 x 256 picture, 20 steps, guidance on."""
    for _ in range(3):
        began = time.perf_counter()
        generated(model, ["a tree on a hill"], guidance=7.5, steps=20)
        print(f"{time.perf_counter() - began:.2f} s on {torch.get_num_threads()} threads")


def _grey(picture: Image.Image) -> NDArray[np.float64]:
    return np.asarray(picture.convert("L"), dtype=np.float64) / 255


def _edges(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.hypot(*np.gradient(grey)))


FIGURES: dict[str, Callable[[StableDiffusionPipeline, Judge], None]] = {
    "vae": measure_vae,
    "pictures": measure_pictures,
    "guidance": measure_guidance,
    "negative": measure_negative,
    "img2img": measure_img2img,
    "sketch": measure_sketch,
    "speed": measure_speed,
    **measure_companions.FIGURES,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="+", choices=list(FIGURES))
    parser.add_argument("--model", type=Path, default=Path("invoke/pocket"))
    parser.add_argument("--judge", type=Path, default=Path("training/judge.pt"))
    options = parser.parse_args()
    model = StableDiffusionPipeline.from_pretrained(options.model, dtype=torch.float32)
    model.set_progress_bar_config(disable=True)
    judge = read_judge(options.judge) if options.judge.exists() else Judge().eval()
    for figure in options.figures:
        print(f"— {figure}: {FIGURES[figure].__doc__}")
        FIGURES[figure](model, judge)


if __name__ == "__main__":
    main()

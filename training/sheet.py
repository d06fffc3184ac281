"""A sheet of 64 pictures, seeds 1 to 64, none left out.

python -m training.sheet docs/pocket-sheet.png [--model invoke/pocket]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw

from training.asked import asked_scenes, generated, prompt_of

EDGE, LINE = 192, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", type=Path, default=Path("invoke/pocket"))
    parser.add_argument("--guidance", type=float, default=6.0)
    options = parser.parse_args()
    model = StableDiffusionPipeline.from_pretrained(options.model, dtype=torch.float32)
    model.set_progress_bar_config(disable=True)
    rng = Random(64)
    prompts = [prompt_of(scene, rng) for scene in asked_scenes(64)]
    pictures = generated(model, prompts, guidance=options.guidance)
    sheet = Image.new("RGB", (8 * EDGE, 8 * (EDGE + LINE)), "white")
    text = ImageDraw.Draw(sheet)
    for i, (prompt, picture) in enumerate(zip(prompts, pictures, strict=True)):
        x, y = i % 8 * EDGE, i // 8 * (EDGE + LINE)
        sheet.paste(picture.resize((EDGE, EDGE), Image.Resampling.LANCZOS), (x, y))
        text.text((x + 2, y + EDGE + 2), prompt if len(prompt) <= 32 else f"{prompt[:31]}…", fill="black")
    sheet.save(options.file, optimize=True)


if __name__ == "__main__":
    main()

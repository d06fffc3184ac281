"""Random holes, and the latents of pictures with a hole: what a 9-channel UNet learns from.

python -m training.masks --data FOLDER --latents FILE --vae FOLDER --out FILE [--most 1200]
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from training.canvas import oval
from training.dataset import read_shards
from training.devices import device, load_checkpoint, save_checkpoint
from training.latents import encoded

GREY = 128
"""What is shown where there is a hole: 0 in -1..1."""
FACTOR = 16
"""Pixels to a latent."""


def random_hole(rng: Random, *, width: int, height: int) -> NDArray[np.bool_]:
    """True where it shall be painted: a rectangle, an ellipse, a few strokes, or all around a rectangle."""
    mask = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(mask)
    kind = rng.choices(("rectangle", "ellipse", "strokes", "around"), (4, 3, 2, 1))[0]
    if kind == "strokes":
        for _ in range(rng.randint(1, 4)):
            pen.line(_walk(rng, width, height), fill=255, width=round(rng.uniform(0.08, 0.3) * min(width, height)))
    else:
        middle, reach = ((0.35, 0.65), (0.15, 0.42)) if rng.random() < 0.7 else ((0.1, 0.9), (0.08, 0.35))
        x, y = rng.uniform(*middle) * width, rng.uniform(*middle) * height
        rx, ry = rng.uniform(*reach) * width, rng.uniform(*reach) * height
        if kind == "ellipse":
            pen.polygon(oval(x, y, rx, ry), fill=255)
        else:
            pen.rectangle((x - rx, y - ry, x + rx, y + ry), fill=255)
    hole = np.asarray(mask) > 0
    return ~hole if kind == "around" else hole


def cells(holes: Tensor, *, widest: bool) -> Tensor:
    """Holes (count, height, width) as the latents see them (count, 1, height / 16, width / 16), 0 or 1.

    Diffusers asks the upper left pixel of each cell, others open a cell for any open pixel (`widest`).
    """
    whole = holes[:, None].float()
    return functional.max_pool2d(whole, FACTOR) if widest else whole[:, :, ::FACTOR, ::FACTOR]


def with_holes(vae: AutoencoderKL, pixels: NDArray[np.uint8], rng: Random) -> dict[str, Tensor]:
    """For each picture one hole: its mask, the latents of what is left, and of a picture that is all hole."""
    height, width = pixels.shape[1:3]
    holes = np.stack([random_hole(rng, width=width, height=height) for _ in pixels])
    left = np.where(holes[..., None], np.uint8(GREY), pixels)
    masks = torch.from_numpy(holes)
    widest = torch.rand(len(masks), 1, 1, 1) < 0.5
    return {
        "masks": torch.where(widest, cells(masks, widest=True), cells(masks, widest=False)).half(),
        "masked": encoded(vae, torch.from_numpy(left)),
        "grey": encoded(vae, torch.full((1, height, width, 3), GREY, dtype=torch.uint8))[0],
    }


def _walk(rng: Random, width: int, height: int) -> list[tuple[float, float]]:
    x, y, turn = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height, rng.uniform(0, 2 * math.pi)
    points = [(x, y)]
    for _ in range(rng.randint(2, 7)):
        turn += rng.uniform(-1, 1)
        x, y = x + 0.15 * width * math.cos(turn), y + 0.15 * height * math.sin(turn)
        points.append((x, y))
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--latents", type=Path, required=True, help="of the same pictures, by training.latents")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most", type=int, default=2000, help="pictures of a shard that are used")
    options = parser.parse_args()
    vae = AutoencoderKL.from_pretrained(options.vae, torch_dtype=torch.float32).to(device()).eval()
    known = {shard["name"]: shard["latents"] for shard in load_checkpoint(options.latents)["shards"]}
    shards: list[dict[str, Any]] = []
    for name, pixels, scenes in read_shards(options.data):
        if name in known:
            torch.manual_seed(len(shards))
            holes = with_holes(vae, np.array(pixels[: options.most]), Random(f"holes {name}"))
            rows = [vars(scene) for scene in scenes[: options.most]]
            shards.append({"name": name, "latents": known[name][: options.most], "scenes": rows, **holes})
            save_checkpoint(options.out, {"shards": shards})


if __name__ == "__main__":
    main()

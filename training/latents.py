"""Pictures turned into latents once, so that the diffusion training never touches a pixel.

python -m training.latents --data FOLDER --vae FOLDER --out FILE
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from training.dataset import read_shards
from training.devices import autocast, device, one_core, save_checkpoint

BATCH = 8


def encoded(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """uint8 pictures (count, height, width, 3) to unscaled float16 latents, a sixteenth as wide and high."""

    @torch.no_grad()
    def encode(batch: Tensor) -> Tensor:
        pictures = batch.to(device()).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()
        with autocast():
            mean: Tensor = vae.encode(pictures).latent_dist.mean
        return mean.half().cpu()

    with ThreadPoolExecutor(2, initializer=one_core) as pool:
        return torch.cat(list(pool.map(encode, pixels.split(BATCH))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    vae = AutoencoderKL.from_pretrained(options.vae, torch_dtype=torch.float32).to(device()).eval()
    shards = []
    for name, pixels, scenes in read_shards(options.data):
        latents = encoded(vae, torch.from_numpy(np.array(pixels)))
        shards.append({"name": name, "latents": latents, "scenes": [asdict(scene) for scene in scenes]})
        save_checkpoint(options.out, {"shards": shards})


if __name__ == "__main__":
    main()

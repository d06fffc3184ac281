"""Train the autoencoder: 256 x 256 pixels to 16 x 16 x 4 latents and back.

    python -m training.train_vae --data FOLDER --out FOLDER --minutes 40 [--resume] [--start FOLDER]

It learns on crops first and on whole pictures later, because in use the norms see the whole picture.
With --decoder-only the encoder stays, so a diffusion model trained on its latents stays good.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from training.dataset import read_shards
from training.devices import autocast, device
from training.halves import Halves
from training.run import Run, add_options
from training.styles import STYLES

CHANNELS = (16, 24, 48, 96, 160)
KL_WEIGHT = 1e-4


def new_vae() -> AutoencoderKL:
    """Few channels at high resolution; no attention, so that it behaves the same at every size."""
    levels = len(CHANNELS)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=256,
        mid_block_add_attention=False,
    )


def loss_of(vae: AutoencoderKL, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and the mean squared error (pictures in -1..1)."""
    with autocast():
        with torch.set_grad_enabled(next(vae.encoder.parameters()).requires_grad):
            posterior = vae.encode(pictures).latent_dist
        result = vae.decode(posterior.sample()).sample
    result, mean, logvar = result.float(), posterior.mean.float(), posterior.logvar.float()
    error = result - pictures
    squared = error.square().mean()
    edges = sum(_difference(error, axis).abs().mean() for axis in (2, 3))
    divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    return error.abs().mean() + 3 * squared + edges + KL_WEIGHT * divergence, squared.detach()


def _difference(picture: Tensor, axis: int) -> Tensor:
    return picture.diff(dim=axis)


class Crops:
    """Batches of crops from all existing shards; new shards are used as they appear."""

    def __init__(self, folder: Path, seed: int, *, more_of: str = "") -> None:
        self.folder, self.rng, self.more_of = folder, np.random.default_rng(seed), more_of
        self.looked = 0.0

    def batch(self, count: int, size: int) -> Tensor:
        if time.time() - self.looked > 60:
            self.shards, self.looked = read_shards(self.folder), time.time()
        crops = []
        for _ in range(count):
            picture = self._picture()
            top, left = (int(self.rng.integers(0, (extent - size) // 16 + 1)) * 16 for extent in picture.shape[:2])
            crop = picture[top : top + size, left : left + size]
            crops.append(crop[:, ::-1] if self.rng.random() < 0.5 else crop)
        pixels = torch.from_numpy(np.stack(crops)).to(device()).permute(0, 3, 1, 2)
        return pixels.float().div_(127.5).sub_(1).contiguous()

    def _picture(self) -> NDArray[np.uint8]:
        """A random picture; every second one in the style given by `--more-of`."""
        style = self.more_of if self.rng.random() < 0.5 else ""
        while True:
            _, pixels, scenes = self.shards[self.rng.integers(len(self.shards))]
            index = int(self.rng.integers(len(pixels)))
            if style in ("", scenes[index].style):
                return np.asarray(pixels[index])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="shards written by training.dataset")
    parser.add_argument("--decoder-only", action="store_true", help="leave the latents as they are")
    parser.add_argument(
        "--whole-from", type=float, default=0.65, help="share of the time after which whole pictures are used"
    )
    parser.add_argument("--more-of", choices=STYLES, default="", help="a style of every second picture")
    add_options(parser)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    vae = AutoencoderKL.from_pretrained(options.start, torch_dtype=torch.float32) if options.start else new_vae()
    vae.to(device()).train()
    if options.decoder_only:
        for fixed in (vae.encoder, vae.quant_conv):
            fixed.requires_grad_(False)
    run, halves = Run("vae", vae, options), Halves(vae)
    crops = Crops(options.data, options.seed + run.steps, more_of=options.more_of)
    while run.going:
        count, size = (8, 128) if run.done < options.whole_from else (2, 256)
        parts = crops.batch(count, size).chunk(halves.count)
        squares = [0.0] * halves.count

        def part(
            model: AutoencoderKL, number: int, parts: Sequence[Tensor] = parts, squares: list[float] = squares
        ) -> Tensor:
            loss, squared = loss_of(model, parts[number])
            squares[number] = float(squared)
            return loss

        loss = halves.backward(part)
        run.step(count, loss, sum(squares) / halves.count)


if __name__ == "__main__":
    main()

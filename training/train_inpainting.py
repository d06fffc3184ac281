"""Train a UNet of 9 channels that sees the hole: noisy latents, mask, latents of the picture without the hole.

    python -m training.train_inpainting --holes FILE --out FOLDER --minutes 30 [--resume] [--save FOLDER]

It is narrower than the base model's UNet, made from nothing, and hears through the base model's text encoder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training.base import add_base_options, read_base
from training.batches import Latents, stacked
from training.devices import autocast, device
from training.loop import learn
from training.model import new_unet
from training.noise import noise_error, noised
from training.run import Run, add_options
from training.saving import save_half

WIDTHS = (64, 96, 96)
ALL_HOLE = 0.15
"""Fraction of samples with the whole picture masked, so that it can also paint whole pictures."""


class Holes(Latents):
    """Pictures with one hole each, as written by training.masks."""

    def holes(self, count: int, *, others: float) -> tuple[Tensor, Tensor, list[str]]:
        """Latents, the 5 channels of mask and masked latents, captions."""
        rows = self.rows(count, others=others)
        latents, masks, masked = (stacked(rows, name) for name in ("latents", "masks", "masked"))
        grey = torch.stack([shard["grey"] for shard, _ in rows]).to(device())
        everywhere = torch.tensor([self.rng.random() < ALL_HOLE for _ in rows], device=device())[:, None, None, None]
        masks = torch.where(everywhere, torch.ones_like(masks), masks)
        return latents, torch.cat([masks.float(), torch.where(everywhere, grey, masked)], dim=1), self.captions(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--holes", type=Path, required=True, help="the file written by training.masks")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sizes-from", type=float, default=0.6, help="share of the time without other sizes")
    add_base_options(parser)
    add_options(parser)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    base = read_base(options.model)
    unet = new_unet(9, WIDTHS)
    if options.start:
        unet = UNet2DConditionModel.from_pretrained(options.start, torch_dtype=torch.float32)
    unet.to(device()).train()
    run = Run("inpainting", unet, options)
    torch.manual_seed(options.seed + run.steps)
    source = Holes(options.holes, base.scale, options.seed + run.steps)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        latents, seen, captions = source.holes(options.batch, others=0.0 if run.done < options.sizes_from else 0.2)
        return latents, seen, base.tokens(captions)

    def loss_of(unet: UNet2DConditionModel, part: tuple[Tensor, ...]) -> Tensor:
        latents, seen, tokens = part
        noisy, timesteps, noise = noised(latents)
        words = base.words(tokens)
        with autocast():
            guess = unet(torch.cat([noisy, seen], dim=1), timesteps, words).sample
        return noise_error(guess, noise, timesteps)

    learn(run, unet, batch, loss_of)
    if options.save:
        save_half(run.averaged(unet), options.save)


if __name__ == "__main__":
    main()

"""Train text encoder and UNet together, from nothing, on cached latents.

    python -m training.train_diffusion --latents FILE --out FOLDER --minutes 70 [--resume]

The loss is the squared error of the noise, weighted by min(SNR, 5) / SNR; one caption in ten is dropped.
At first all pictures are 256 x 256, later some batches have other sizes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.captions import caption
from training.devices import autocast, device, load_checkpoint
from training.halves import Halves
from training.model import new_text_encoder, new_unet, schedule, signal_shares, tokens_of
from training.run import Run, add_options
from training.scenes import Scene
from training.words import new_tokenizer

DROPPED = 0.1
SNR_LIMIT = 5.0
NATIVE = "256x256"
COMMON = ("photograph", "painting")


class Latents:
    """Batches of latents with captions said anew each time."""

    def __init__(self, file: Path, scale: float, seed: int) -> None:
        self.rng = Random(seed)
        self.by_size: dict[str, list[dict[str, Any]]] = {}
        for shard in load_checkpoint(file)["shards"]:
            shard["scenes"] = [Scene(**row) for row in shard["scenes"]]
            shard["latents"] = shard["latents"].float() * scale
            self.by_size.setdefault(shard["name"].split("-")[0], []).append(shard)

    def batch(self, count: int, *, others: float) -> tuple[Tensor, list[str]]:
        """`others`: the probability of another size than the native one. Larger pictures, smaller batches."""
        sizes = [size for size in self.by_size if size != NATIVE]
        size = self.rng.choice(sizes) if sizes and self.rng.random() < others else NATIVE
        shards = self.by_size[size]
        height, width = shards[0]["latents"].shape[2:]
        latents, captions = [], []
        for _ in range(max(4, count * 256 // max(256, height * width))):
            shard, index = self._choice(shards)
            latents.append(shard["latents"][index])
            captions.append("" if self.rng.random() < DROPPED else caption(shard["scenes"][index], self.rng))
        return torch.stack(latents).to(device()), captions

    def _choice(self, shards: list[dict[str, Any]]) -> tuple[dict[str, Any], int]:
        """A picture, the two common styles half as often as they were drawn: the rare ones are harder."""
        while True:
            shard = self.rng.choice(shards)
            index = self.rng.randrange(len(shard["scenes"]))
            if shard["scenes"][index].style not in COMMON or self.rng.random() < 0.5:
                return shard, index


def loss_of(model: nn.ModuleDict, latents: Tensor, tokens: Tensor) -> Tensor:
    noise = torch.randn_like(latents)
    timesteps = torch.randint(0, 1000, (len(latents),), device=latents.device)
    noisy = schedule().add_noise(latents, noise, timesteps)
    with autocast():
        words = model["text"](tokens.to(latents.device))[0]
        guess = model["unet"](noisy, timesteps, words).sample
    shares = signal_shares().to(latents.device)[timesteps]
    snr = shares / (1 - shares)
    weights = snr.clamp(max=SNR_LIMIT) / snr
    loss: Tensor = ((guess.float() - noise).square().mean(dim=(1, 2, 3)) * weights).mean()
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=Path, required=True, help="the file written by training.latents")
    parser.add_argument("--scale", type=float, required=True, help="the autoencoder's scaling_factor")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument(
        "--sizes-from", type=float, default=0.55, help="share of the time after which other sizes are mixed in"
    )
    add_options(parser)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    tokenizer = new_tokenizer()
    text_encoder, unet = new_text_encoder(tokenizer), new_unet()
    if options.start:
        tokenizer = CLIPTokenizer.from_pretrained(options.start / "tokenizer")
        text_encoder = CLIPTextModel.from_pretrained(options.start / "text_encoder", dtype=torch.float32)
        unet = UNet2DConditionModel.from_pretrained(options.start / "unet", torch_dtype=torch.float32)
    model = nn.ModuleDict({"text": text_encoder, "unet": unet}).to(device()).train()
    run, halves = Run("diffusion", model, options), Halves(model)
    torch.manual_seed(options.seed + run.steps)
    source = Latents(options.latents, options.scale, options.seed + run.steps)
    while run.going:
        latents, captions = source.batch(options.batch, others=0.0 if run.done < options.sizes_from else 0.25)
        parts, tokens = latents.chunk(halves.count), tokens_of(tokenizer, captions).chunk(halves.count)

        def part(
            model: nn.ModuleDict,
            number: int,
            parts: Sequence[Tensor] = parts,
            tokens: Sequence[Tensor] = tokens,
        ) -> Tensor:
            return loss_of(model, parts[number], tokens[number])

        run.step(len(latents), halves.backward(part))


if __name__ == "__main__":
    main()

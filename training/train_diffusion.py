"""Train text encoder and UNet together, from nothing, on cached latents.

    python -m training.train_diffusion --latents FILE --out FOLDER --minutes 70 [--resume]

The loss is the squared error of the noise, weighted by min(SNR, 5) / SNR; one caption in ten is dropped.
At first all pictures are 256 x 256, later some batches have other sizes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.batches import Latents
from training.devices import autocast, device
from training.loop import learn
from training.model import new_text_encoder, new_unet, tokens_of
from training.noise import noise_error, noised
from training.run import Run, add_options
from training.words import new_tokenizer


def loss_of(model: nn.ModuleDict, latents: Tensor, tokens: Tensor) -> Tensor:
    noisy, timesteps, noise = noised(latents)
    with autocast():
        words = model["text"](tokens.to(latents.device))[0]
        guess = model["unet"](noisy, timesteps, words).sample
    return noise_error(guess, noise, timesteps)


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
    run = Run("diffusion", model, options)
    torch.manual_seed(options.seed + run.steps)
    source = Latents(options.latents, options.scale, options.seed + run.steps)

    def batch() -> tuple[Tensor, Tensor]:
        latents, captions = source.batch(options.batch, others=0.0 if run.done < options.sizes_from else 0.25)
        return latents, tokens_of(tokenizer, captions)

    learn(run, model, batch, lambda model, part: loss_of(model, *part))


if __name__ == "__main__":
    main()

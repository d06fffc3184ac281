"""Train a LoRA: a style that the base model has not seen, in a file of a megabyte.

    python -m training.train_lora --latents FILE --out FOLDER --minutes 9 [--resume] [--save FILE.safetensors]

Low-rank updates of the UNet's attention (Hu et al. 2021) and of its convolutions; everything else stays as it is.
Attention alone had learnt far less after as many steps: pocket has none where its latents are largest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from training.base import add_base_options, read_base
from training.batches import Latents
from training.devices import autocast, device
from training.loop import learn
from training.noise import noise_error, noised
from training.run import Run, add_options
from training.saving import halved, save_file

UPDATED = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "time_emb_proj", "conv_in", "conv_out"]


def adapted(unet: UNet2DConditionModel, rank: int) -> UNet2DConditionModel:
    """The UNet with low-rank updates, which start at zero; only they are trained."""
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=UPDATED))
    return unet


def save_lora(unet: UNet2DConditionModel, file: Path) -> None:
    """The file that `load_lora_weights` of plain diffusers reads."""
    layers = halved(get_peft_model_state_dict(unet))

    def write(folder: Path) -> None:
        StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers, weight_name=file.name)

    save_file(file, write)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=Path, required=True, help="of pictures in the style")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    add_base_options(parser)
    add_options(parser, other_rate=8e-3)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    base = read_base(options.model)
    unet = adapted(base.unet(), options.rank).to(device()).train()
    run = Run("lora", unet, options)
    torch.manual_seed(options.seed + run.steps)
    source = Latents(options.latents, base.scale, options.seed + run.steps)

    def batch() -> tuple[Tensor, Tensor]:
        latents, captions = source.batch(options.batch)
        return latents, base.tokens(captions)

    def loss_of(unet: UNet2DConditionModel, part: tuple[Tensor, ...]) -> Tensor:
        latents, tokens = part
        noisy, timesteps, noise = noised(latents)
        words = base.words(tokens)
        with autocast():
            guess = unet(noisy, timesteps, words).sample
        return noise_error(guess, noise, timesteps)

    learn(run, unet, batch, loss_of)
    if options.save:
        save_lora(run.averaged(unet), options.save)


if __name__ == "__main__":
    main()

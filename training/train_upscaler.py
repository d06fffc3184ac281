"""Train a latent upscaler x2, of the architecture that StableDiffusionLatentUpscalePipeline runs.

    python -m training.train_upscaler --latents FILE --out FOLDER --minutes 15 [--resume] [--save FOLDER]

The file holds the latents of the same scenes at 512 x 512 and at 256 x 256. The UNet of Katherine Crowson's
upscaler (K blocks, 8 channels in, 5 out of which the last is not used) is asked with the preconditioning of Karras
et al. 2022, table 1, for a deviation of 1, as the pipeline does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional

from training.base import Base, add_base_options, read_base
from training.captions import caption
from training.devices import autocast, device, load_checkpoint
from training.loop import learn
from training.model import WIDTH
from training.run import Run, add_options
from training.saving import save_whole
from training.scenes import Scene

WIDTHS = (64, 128, 128)
"""Channels: the last two equal and twice the first, as the K blocks require."""
INDEX = {
    "_class_name": "StableDiffusionLatentUpscalePipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
}
"""Parts in the folder; the others come from the drawing model."""
DROPPED = 0.5
LOG_SIGMA = (-1.0, 1.4)
"""Mean and deviation of the noise's logarithm in training."""


def new_upscaler() -> UNet2DConditionModel:
    """Three levels, 32 x 32, 16 x 16 and 8 x 8 for 512 pixels; attention in the lower two."""
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=8,
        out_channels=5,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        down_block_types=("KDownBlock2D", "KCrossAttnDownBlock2D", "KCrossAttnDownBlock2D"),
        up_block_types=("KCrossAttnUpBlock2D", "KCrossAttnUpBlock2D", "KUpBlock2D"),
        mid_block_type=None,
        act_fn="gelu",
        attention_head_dim=16,
        norm_num_groups=None,
        cross_attention_dim=WIDTH,
        conv_in_kernel=1,
        conv_out_kernel=1,
        resnet_time_scale_shift="scale_shift",
        time_embedding_type="fourier",
        timestep_post_act="gelu",
        time_cond_proj_dim=128 + WIDTH,
    )


def upscaler_schedule() -> EulerDiscreteScheduler:
    """The pipeline hands it denoised latents, not noise."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="sample",
    )


def spoken(base: Base, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The pipeline's text conditioning: hidden states, and the addition to the time embedding."""
    with torch.no_grad(), autocast():
        heard = base.text_encoder(tokens.to(device()), output_hidden_states=True)
    pooled = heard.pooler_output.float()
    level = torch.cat([torch.ones(len(pooled), 64), torch.zeros(len(pooled), 64)], dim=1).to(pooled.device)
    return heard.hidden_states[-1], torch.cat([level, pooled], dim=1)


def error(unet: UNet2DConditionModel, large: Tensor, small: Tensor, words: Tensor, condition: Tensor) -> Tensor:
    """The error of the large latents, denoised, at random noise levels, weighted to be about 1 untrained."""
    mean, deviation = LOG_SIGMA
    log_sigma = mean + deviation * torch.randn(len(large), device=large.device)
    sigma = log_sigma.exp()[:, None, None, None]
    noisy = large + sigma * torch.randn_like(large)
    scale = (sigma**2 + 1).sqrt()
    seen = torch.cat([noisy / scale, functional.interpolate(small, scale_factor=2, mode="nearest")], dim=1)
    with autocast():
        guess = unet(seen, log_sigma * 0.25, words, timestep_cond=condition).sample[:, :-1]
    wanted = (large - noisy / scale**2) * scale / sigma
    return (guess.float() - wanted).square().mean()


class Pairs:
    """Latents of the same scenes at two sizes."""

    def __init__(self, file: Path, scale: float, seed: int) -> None:
        self.rng = Random(seed)
        shards = {shard["name"]: shard for shard in load_checkpoint(file)["shards"]}
        self.pairs: list[tuple[dict[str, Any], Tensor, Tensor]] = []
        for name, shard in shards.items():
            size, number = name.split("-")
            if size == "512x512":
                small = shards[f"256x256-{number}"]
                assert small["scenes"][: len(shard["scenes"])] == shard["scenes"]
                for row, one, other in zip(shard["scenes"], shard["latents"], small["latents"], strict=False):
                    self.pairs.append((row, one.float() * scale, other.float() * scale))

    def batch(self, count: int) -> tuple[Tensor, Tensor, list[str]]:
        chosen = self.rng.choices(self.pairs, k=count)
        said = ["" if self.rng.random() < DROPPED else caption(Scene(**row), self.rng) for row, _, _ in chosen]
        large, small = (torch.stack([pair[i] for pair in chosen]).to(device()) for i in (1, 2))
        return large, small, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=Path, required=True, help="of both sizes, by training.latents")
    parser.add_argument("--batch", type=int, default=16)
    add_base_options(parser)
    add_options(parser)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    base = read_base(options.model)
    unet = new_upscaler()
    if options.start:
        unet = UNet2DConditionModel.from_pretrained(options.start / "unet", torch_dtype=torch.float32)
    unet.to(device()).train()
    run = Run("upscaler", unet, options)
    torch.manual_seed(options.seed + run.steps)
    source = Pairs(options.latents, base.scale, options.seed + run.steps)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        large, small, said = source.batch(options.batch)
        return large, small, base.tokens(said)

    def loss_of(unet: UNet2DConditionModel, part: tuple[Tensor, ...]) -> Tensor:
        large, small, tokens = part
        return error(unet, large, small, *spoken(base, tokens))

    learn(run, unet, batch, loss_of)
    if options.save:
        finished = run.averaged(unet).half()

        def write(folder: Path) -> None:
            finished.save_pretrained(folder / "unet")
            upscaler_schedule().save_pretrained(folder / "scheduler")
            (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n", encoding="utf-8")

        save_whole(options.save, write)


if __name__ == "__main__":
    main()

"""Train a ControlNet that makes the base model's pictures follow edges.

    python -m training.train_control --edges FILE --out FOLDER --minutes 30 [--resume] [--save FOLDER]

It begins as a copy of the UNet's first half, joined on by convolutions that are zero (Zhang et al. 2023).
Captions are dropped more often than elsewhere, so that it learns to see in the edges what nobody said.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from training.base import add_base_options, read_base
from training.batches import Latents, Row, stacked
from training.devices import autocast, device
from training.edges import unpacked
from training.loop import learn
from training.noise import noise_error, noised
from training.run import Run, add_options
from training.saving import save_half

CHANNELS = (8, 16, 32, 64, 96)
"""Five levels from pixels to latents, with few channels at high resolution."""
DROPPED = 0.3


def new_controlnet(unet: UNet2DConditionModel, shown: Tensor) -> ControlNetModel:
    """A copy that is trained, but for what it does where there are many pixels: random filters see edges well enough.

    Backwards through the two largest levels would take as long as all the rest. `shown`: a few control images.
    """
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=CHANNELS)
    controlnet.requires_grad_(True).to(device())
    seen = controlnet.controlnet_cond_embedding
    wake([seen.conv_in, *seen.blocks, seen.conv_out], shown)
    for fixed in (seen.conv_in, *seen.blocks[:2]):
        fixed.requires_grad_(False)
    return controlnet


@torch.no_grad()
def wake(layers: Sequence[nn.Conv2d], shown: Tensor) -> None:
    """Scale each layer so that what it says of these images has a deviation of 1 in every channel.

    As they come the layers are nearly silent, the last one wholly, and hundreds of steps go by before edges count.
    The picture is not disturbed by that: the convolutions that join the ControlNet to the UNet are zero still.
    """
    for layer in layers:
        nn.init.orthogonal_(layer.weight.view(len(layer.weight), -1))
        nn.init.zeros_(layer.bias)
        said = layer(shown)
        mean, deviation = said.mean(dim=(0, 2, 3)), said.std(dim=(0, 2, 3)) + 1e-4
        layer.weight.div_(deviation[:, None, None, None])
        layer.bias.sub_(mean / deviation)
        shown = functional.silu(layer(shown))


def control_images(rows: list[Row]) -> Tensor:
    """White edges on black, (count, 3, height, width), 0..1."""
    width = rows[0][0]["latents"].shape[3] * 16
    return unpacked(torch.stack([shard["edges"][index] for shard, index in rows]).cpu(), width).to(device())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=Path, required=True, help="the file written by training.edges")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sizes-from", type=float, default=0.7, help="share of the time without other sizes")
    add_base_options(parser)
    add_options(parser, matrix_rate=0.01, other_rate=1e-3)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    base = read_base(options.model)
    unet = base.unet()
    source = Latents(options.edges, base.scale, options.seed, dropped=DROPPED)
    controlnet = new_controlnet(unet, control_images(source.rows(8)))
    if options.start:
        controlnet.load_state_dict(
            ControlNetModel.from_pretrained(options.start, torch_dtype=torch.float32).state_dict()
        )
    controlnet.train()
    run = Run("control", controlnet, options)
    torch.manual_seed(options.seed + run.steps)
    source.rng.seed(options.seed + run.steps)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        rows = source.rows(options.batch, others=0.0 if run.done < options.sizes_from else 0.15)
        return stacked(rows, "latents"), control_images(rows), base.tokens(source.captions(rows))

    def loss_of(controlnet: ControlNetModel, part: tuple[Tensor, ...]) -> Tensor:
        latents, shown, tokens = part
        noisy, timesteps, noise = noised(latents)
        words = base.words(tokens)
        with autocast():
            down, middle = controlnet(noisy, timesteps, words, controlnet_cond=shown, return_dict=False)
            guess = unet(
                noisy,
                timesteps,
                words,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample
        return noise_error(guess, noise, timesteps)

    learn(run, controlnet, batch, loss_of)
    if options.save:
        save_half(run.averaged(controlnet), options.save)


if __name__ == "__main__":
    main()

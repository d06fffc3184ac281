"""Tiny upscalers with random weights: the real classes and file formats."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    StableDiffusionLatentUpscalePipeline,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from torch import nn

from tests import tiny

_WIDTH = 32
"""Of the tiny text encoder."""


def latent_upscaler(seed: int = 1) -> StableDiffusionLatentUpscalePipeline:
    """x2: K blocks, 4 + 4 channels in, 4 and an unused one out, as the real one of four levels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=8,
            out_channels=5,
            block_out_channels=(32, 32, 64, 64),
            layers_per_block=1,
            down_block_types=(
                "KDownBlock2D",
                "KCrossAttnDownBlock2D",
                "KCrossAttnDownBlock2D",
                "KCrossAttnDownBlock2D",
            ),
            up_block_types=("KCrossAttnUpBlock2D", "KCrossAttnUpBlock2D", "KCrossAttnUpBlock2D", "KUpBlock2D"),
            mid_block_type=None,
            act_fn="gelu",
            attention_head_dim=8,
            norm_num_groups=None,
            cross_attention_dim=_WIDTH,
            conv_in_kernel=1,
            conv_out_kernel=1,
            resnet_time_scale_shift="scale_shift",
            time_embedding_type="fourier",
            timestep_post_act="gelu",
            time_cond_proj_dim=128 + _WIDTH,
        )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="sample"
    )
    parts = tiny.components()
    shared = {name: parts[name] for name in ("vae", "text_encoder", "tokenizer")}
    return tiny.quiet(StableDiffusionLatentUpscalePipeline(unet=unet.eval(), scheduler=scheduler, **shared))


def super_resolution(seed: int = 2) -> StableDiffusionUpscalePipeline:
    """x4: 4 + 3 channels in, told the noise level as a class; a decoder of three levels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = tiny.unet(sample_size=16, in_channels=7, num_class_embeds=1000, only_cross_attention=True)
        vae = tiny.vae(4, scaling_factor=0.08333)
    parts = tiny.components()
    betas = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "scaled_linear"}
    return tiny.quiet(
        StableDiffusionUpscalePipeline(
            unet=unet.eval(),
            vae=vae.eval(),
            text_encoder=parts["text_encoder"],
            tokenizer=parts["tokenizer"],
            low_res_scheduler=DDPMScheduler(**betas),
            scheduler=DDIMScheduler(
                **betas, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1
            ),
            max_noise_level=350,
        )
    )


def save(folder: Path, pipeline: DiffusionPipeline) -> Path:
    """In diffusers layout, as `save_pretrained` writes it."""
    pipeline.save_pretrained(folder)
    return folder


def save_esrgan(path: Path, *, features: int = 8, scale: int = 4, seed: int = 3) -> Path:
    """An RRDBNet (Wang et al. 2018) of one block, as a file with the names that Real-ESRGAN gives its tensors."""
    grow = 32

    def convolution(name: str, width: int, out: int) -> dict[str, torch.Tensor]:
        layer = nn.Conv2d(width, out, 3)
        return {f"{name}.weight": layer.weight.detach(), f"{name}.bias": layer.bias.detach()}

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state: dict[str, Any] = convolution("conv_first", {4: 3, 2: 12}[scale], features)
        for dense in ("rdb1", "rdb2", "rdb3"):
            for index in range(5):
                out = grow if index < 4 else features
                state |= convolution(f"body.0.{dense}.conv{index + 1}", features + index * grow, out)
        for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
            state |= convolution(name, features, features)
        state |= convolution("conv_last", features, 3)
    save_file(state, path)
    return path

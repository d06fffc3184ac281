"""The small companions of pocket, each combined with it by plain diffusers.

They lie in `tests/data`, not in the package, and hold only what pocket lacks: text encoder and autoencoder are its.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    ControlNetModel,
    EulerDiscreteScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionLatentUpscalePipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)

POCKET = Path("invoke/pocket")
DATA = Path("tests/data")
INPAINTING, CONTROL, LORA, INVERSION, UPSCALER = (
    "pocket-inpainting",
    "pocket-canny",
    "pocket-blueprint.safetensors",
    "pocket-balloon.safetensors",
    "pocket-upscaler-x2",
)
WORD = "<balloon>"
"""The word of the textual inversion in a prompt."""


def inpainting(base: Path = POCKET, data: Path = DATA) -> StableDiffusionInpaintPipeline:
    """The UNet of 9 channels; `save_pretrained` of this makes a whole inpainting folder."""
    unet = UNet2DConditionModel.from_pretrained(data / INPAINTING / "unet", torch_dtype=torch.float32)
    return StableDiffusionInpaintPipeline.from_pretrained(base, unet=unet, dtype=torch.float32)


def control(base: Path = POCKET, data: Path = DATA) -> StableDiffusionControlNetPipeline:
    """Pictures along edges, white on black."""
    controlnet = ControlNetModel.from_pretrained(data / CONTROL, torch_dtype=torch.float32)
    return StableDiffusionControlNetPipeline.from_pretrained(base, controlnet=controlnet, dtype=torch.float32)


def blueprints(base: Path = POCKET, data: Path = DATA) -> StableDiffusionPipeline:
    """The seventh style: "blueprint of a house"."""
    pipeline = StableDiffusionPipeline.from_pretrained(base, dtype=torch.float32)
    pipeline.load_lora_weights(data, weight_name=LORA)
    return pipeline


def balloons(base: Path = POCKET, data: Path = DATA) -> StableDiffusionPipeline:
    """A new subject: "a <balloon> on a hill"."""
    pipeline = StableDiffusionPipeline.from_pretrained(base, dtype=torch.float32)
    pipeline.load_textual_inversion(data / INVERSION)
    return pipeline


def upscaler(base: Path = POCKET, data: Path = DATA) -> StableDiffusionLatentUpscalePipeline:
    """Twice the width and height, from a picture or from latents."""
    parts = StableDiffusionPipeline.from_pretrained(base, dtype=torch.float32)
    return StableDiffusionLatentUpscalePipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=UNet2DConditionModel.from_pretrained(data / UPSCALER / "unet", torch_dtype=torch.float32),
        scheduler=EulerDiscreteScheduler.from_pretrained(data / UPSCALER / "scheduler"),
    )

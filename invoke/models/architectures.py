"""Configs of the families that come in single files, which lack them.

They ship with the program, so that a local file does not need the hub. Only CLIP's vocabulary may not be copied
(see `clip_vocabulary`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

from invoke.errors import ModelError
from invoke.models.families import Family

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Architecture:
    """The configs of one architecture, in the form of diffusers and transformers."""

    title: str
    unet: Config
    vae: Config
    texts: Mapping[str, Config]
    """`text_encoder`, `text_encoder_2` → config."""
    padding: Mapping[str, str]
    """`tokenizer`, `tokenizer_2` → padding token."""
    scheduler: Config
    index: Config = field(default_factory=dict)
    """Further content of `model_index.json`."""


_UNET: Config = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
_UNET_2: Config = _UNET | {
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
_UNET_XL: Config = _UNET_2 | {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_UNET_REFINER: Config = _UNET_XL | {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (384, 768, 1536, 1536),
    "transformer_layers_per_block": 4,
    "attention_head_dim": (6, 12, 24, 24),
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}
_VAE: Config = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}
_VAE_XL: Config = _VAE | {"sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True}
_CLIP: Config = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 1,
}
_OPEN_CLIP_H: Config = _CLIP | {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "projection_dim": 512,
    "hidden_act": "gelu",
}
_OPEN_CLIP_G: Config = _CLIP | {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
_SCHEDULER: Config = {
    "_class_name": "PNDMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "clip_sample": False,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
}
_SCHEDULER_XL: Config = _SCHEDULER | {"_class_name": "EulerDiscreteScheduler", "interpolation_type": "linear"}
_END, _MARK = "<|endoftext|>", "!"

ARCHITECTURES: Mapping[tuple[Family, int], Architecture] = {
    ("sd", 768): Architecture(
        "Stable Diffusion 1", _UNET, _VAE, {"text_encoder": _CLIP}, {"tokenizer": _END}, _SCHEDULER
    ),
    ("sd", 1024): Architecture(
        "Stable Diffusion 2", _UNET_2, _VAE, {"text_encoder": _OPEN_CLIP_H}, {"tokenizer": _MARK}, _SCHEDULER
    ),
    ("sdxl", 2048): Architecture(
        "Stable Diffusion XL",
        _UNET_XL,
        _VAE_XL,
        {"text_encoder": _CLIP, "text_encoder_2": _OPEN_CLIP_G},
        {"tokenizer": _END, "tokenizer_2": _MARK},
        _SCHEDULER_XL,
        {"force_zeros_for_empty_prompt": True},
    ),
    ("sdxl-refiner", 1280): Architecture(
        "the refiner of Stable Diffusion XL",
        _UNET_REFINER,
        _VAE_XL,
        {"text_encoder_2": _OPEN_CLIP_G},
        {"tokenizer_2": _MARK},
        _SCHEDULER_XL,
        {"force_zeros_for_empty_prompt": False, "requires_aesthetics_score": True},
    ),
}
"""(family, width of the UNet's text embeddings) → architecture. The UNet's input channels come from its file."""


_HEADS = 16
_QUICK = 1024
"""Width of OpenAI's CLIP image encoder, the only one with quick GELU."""


def clip_vision(name: str, shapes: Mapping[str, Any]) -> Config:
    """The config of a CLIP image encoder whose tensors have these `shapes`. Raises ModelError if it is not one."""
    try:
        width, _, patch, _ = shapes["vision_model.embeddings.patch_embedding.weight"].shape
        positions = shapes["vision_model.embeddings.position_embedding.weight"].shape[0]
        inner = shapes["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
        projected = shapes["visual_projection.weight"].shape[0]
    except KeyError as error:
        raise ModelError(f"{name}: this file is not an image encoder: {error.args[0]} is missing") from error
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": sum(key.endswith("layer_norm1.weight") for key in shapes),
        "num_attention_heads": _HEADS,
        "patch_size": patch,
        "image_size": isqrt(positions - 1) * patch,
        "projection_dim": projected,
        "hidden_act": "quick_gelu" if width == _QUICK else "gelu",
    }

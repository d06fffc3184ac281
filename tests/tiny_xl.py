"""Tiny Stable Diffusion XL models with random weights: base, refiner, and the inpainting one."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from tests import tiny

XL_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "interpolation_type": "linear",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
    "clip_sample": False,
    "prediction_type": "epsilon",
}
"""What Stable Diffusion XL ships, key for key."""


def xl_components(*, channels: int = 4, refiner: bool = False, seed: int = 0) -> dict[str, Any]:
    """A whole model in memory; its refiner has only the second text encoder and gets a score instead of a size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokens = tiny.tokenizer()
        texts = {
            "text_encoder": CLIPTextModel(tiny.text_config()),
            "tokenizer": tokens,
            "text_encoder_2": CLIPTextModelWithProjection(tiny.text_config(projection_dim=32)),
            "tokenizer_2": tokens,
        }
        if refiner:
            texts = {name: part for name, part in texts.items() if name.endswith("_2")}
        numbers = 5 if refiner else 6
        unet = tiny.unet(
            in_channels=channels,
            cross_attention_dim=32 if refiner else 64,
            attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=numbers * 8 + 32,
        )
        vae = tiny.vae(scaling_factor=0.13025, force_upcast=True)
    parts = {"unet": unet, "vae": vae, **texts}
    networks = {name: part.eval() if isinstance(part, torch.nn.Module) else part for name, part in parts.items()}
    return networks | {"scheduler": EulerDiscreteScheduler.from_config(XL_SCHEDULER)}


def xl_index(*, refiner: bool = False) -> Mapping[str, Any]:
    """The fields of `model_index.json` beside the parts."""
    return {
        "_class_name": "StableDiffusionXLImg2ImgPipeline" if refiner else "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": not refiner,
        **(
            {"requires_aesthetics_score": True, "text_encoder": [None, None], "tokenizer": [None, None]}
            if refiner
            else {}
        ),
    }

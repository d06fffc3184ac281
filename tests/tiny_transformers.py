"""Tiny models of other families with random weights: Stable Diffusion 3, Flux and PixArt, of the real classes."""

import string
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from tests import tiny

MULTIPLE = 16
"""Of their sides: eight pixels a latent, two latents a patch."""
_WIDTH = 32
"""Of every text encoder."""


def sd3(seed: int = 0) -> StableDiffusion3Pipeline:
    """Three text encoders, and a transformer that sees latents in patches of two."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {
            "transformer": SD3Transformer2DModel(
                sample_size=8,
                patch_size=2,
                in_channels=16,
                out_channels=16,
                num_layers=2,
                attention_head_dim=8,
                num_attention_heads=4,
                caption_projection_dim=32,
                joint_attention_dim=_WIDTH,
                pooled_projection_dim=2 * _WIDTH,
                pos_embed_max_size=32,
            ),
            "vae": _vae(16),
            "text_encoder": CLIPTextModelWithProjection(tiny.text_config(projection_dim=_WIDTH)),
            "text_encoder_2": CLIPTextModelWithProjection(tiny.text_config(projection_dim=_WIDTH)),
            "text_encoder_3": _t5(),
        }
    texts = {"tokenizer": tiny.tokenizer(), "tokenizer_2": tiny.tokenizer(), "tokenizer_3": _t5_tokenizer()}
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    return tiny.quiet(StableDiffusion3Pipeline(**_settled(parts), **texts, scheduler=scheduler))


def flux(*, is_told_guidance: bool = True, seed: int = 0) -> FluxPipeline:
    """Two text encoders, latents packed two by two; told the guidance scale as `dev` is, or not, as `schnell`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {
            "transformer": FluxTransformer2DModel(
                patch_size=1,
                in_channels=16,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=_WIDTH,
                pooled_projection_dim=_WIDTH,
                axes_dims_rope=(4, 4, 8),
                guidance_embeds=is_told_guidance,
            ),
            "vae": _vae(4),
            "text_encoder": CLIPTextModel(tiny.text_config()),
            "text_encoder_2": _t5(),
        }
    texts = {"tokenizer": tiny.tokenizer(), "tokenizer_2": _t5_tokenizer()}
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    return tiny.quiet(FluxPipeline(**_settled(parts), **texts, scheduler=scheduler))


def pixart(seed: int = 0) -> PixArtAlphaPipeline:
    """An older family: it draws at one of the sizes that it was trained with, and knows no image-to-image."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {
            "transformer": PixArtTransformer2DModel(
                sample_size=32,
                patch_size=2,
                in_channels=4,
                out_channels=8,
                num_layers=1,
                attention_head_dim=8,
                num_attention_heads=3,
                cross_attention_dim=24,
                caption_channels=_WIDTH,
            ),
            "vae": _vae(4),
            "text_encoder": _t5(),
        }
    return tiny.quiet(PixArtAlphaPipeline(**_settled(parts), tokenizer=_t5_tokenizer(), scheduler=DDIMScheduler()))


def _vae(channels: int) -> AutoencoderKL:
    return tiny.vae(
        latent_channels=channels,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.0609,
        scaling_factor=1.5035,
    )


def _t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=64, d_model=_WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
        )
    )


def _t5_tokenizer() -> T5Tokenizer:
    """Letters, and the sign that begins a word."""
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((x, -3.0) for x in string.ascii_lowercase)]
    return T5Tokenizer(vocab=vocab, extra_ids=0)


def _settled(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part.eval() for name, part in parts.items()}

"""Tiny models of newer families with random weights, of the real classes: Z-Image, Qwen-Image, Chroma, Sana."""

from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    ChromaPipeline,
    ChromaTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    SanaPipeline,
    SanaTransformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer, Qwen3Config, Qwen3Model

from tests import tiny
from tests.tiny_editors import qwen_parts, qwen_tokenizer
from tests.tiny_transformers import _t5, _t5_tokenizer, _vae

_WIDTH = 16


def z_image(seed: int = 0) -> ZImagePipeline:
    """Text and picture in one stream."""
    tokens = qwen_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = ZImageTransformer2DModel(
            all_patch_size=(2,),
            all_f_patch_size=(1,),
            in_channels=4,
            dim=32,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=_WIDTH,
            axes_dims=[8, 4, 4],
            axes_lens=[1024, 64, 64],
        )
        for name in ("x_pad_token", "cap_pad_token"):  # they are uninitialised memory
            torch.nn.init.normal_(getattr(transformer, name))
        text_encoder = Qwen3Model(
            Qwen3Config(
                vocab_size=len(tokens),
                hidden_size=_WIDTH,
                intermediate_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                head_dim=8,
            )
        )
        parts = _settled({"transformer": transformer, "vae": _vae(4), "text_encoder": text_encoder})
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    return tiny.quiet(ZImagePipeline(**parts, tokenizer=tokens, scheduler=scheduler))


def qwen_image(seed: int = 0) -> QwenImagePipeline:
    """The editing one, without its vision encoder."""
    return tiny.quiet(QwenImagePipeline(**qwen_parts(seed)))


def chroma(seed: int = 0) -> ChromaPipeline:
    """Flux without CLIP and with real guidance."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = ChromaTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            axes_dims_rope=(4, 4, 8),
            approximator_hidden_dim=32,
            approximator_layers=1,
            approximator_num_channels=16,
        )
        parts = _settled({"transformer": transformer, "vae": _vae(4), "text_encoder": _t5()})
    return tiny.quiet(ChromaPipeline(**parts, tokenizer=_t5_tokenizer(), scheduler=FlowMatchEulerDiscreteScheduler()))


def sana(seed: int = 0) -> SanaPipeline:
    """Linear attention on latents that are much smaller than the picture."""
    letters = [chr(at) for at in range(33, 127)]
    vocab = {word: at for at, word in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *letters])}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind = ("ResBlock", "EfficientViTBlock")
        transformer = SanaTransformer2DModel(
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=8,
            sample_size=32,
        )
        vae = AutoencoderDC(
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=kind,
            decoder_block_types=kind,
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.41407,
        )
        text_encoder = Gemma2Model(
            Gemma2Config(
                vocab_size=len(vocab),
                hidden_size=8,
                head_dim=16,
                intermediate_size=16,
                num_attention_heads=2,
                num_key_value_heads=2,
                num_hidden_layers=1,
            )
        )
        parts = _settled({"transformer": transformer, "vae": vae, "text_encoder": text_encoder})
    tokens = GemmaTokenizer(vocab=vocab, merges=[])
    return tiny.quiet(SanaPipeline(**parts, tokenizer=tokens, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0)))


def _settled(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part.eval() for name, part in parts.items()}

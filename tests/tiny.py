"""Tiny Stable Diffusion models with random weights: the real classes and file formats, a few hundred kilobytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tests.tiny_ldm import ldm_state

SD1_SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "clip_sample": False,
}
"""What Stable Diffusion 1.5 ships, key for key."""

FACTOR = 8
MERGES = ("t h", "th e</w>", "f i", "fi r", "fir e</w>", "a n", "an d</w>", "c a", "ca t</w>")


def tokenizer() -> CLIPTokenizer:
    """CLIP's own byte-pair scheme with nine merges: 77 tokens at most, as the real one."""
    letters = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    words = [*letters, *(f"{x}</w>" for x in letters), *("".join(merge.split()) for merge in MERGES)]
    vocab = {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(
        vocab=vocab,
        merges=[tuple(merge.split()) for merge in MERGES],
        model_max_length=77,
        pad_token="<|endoftext|>",
    )


def text_config(width: int = 32, **more: Any) -> CLIPTextConfig:
    """Of a text encoder for the `tokenizer`."""
    tokens = tokenizer()
    end = tokens.convert_tokens_to_ids("<|endoftext|>")
    return CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokens.convert_tokens_to_ids("<|startoftext|>"),
        eos_token_id=end,
        pad_token_id=end,
        **more,
    )


def unet(**more: Any) -> UNet2DConditionModel:
    """Two levels, the lower one with attention."""
    usual = {
        "sample_size": 8,
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    return UNet2DConditionModel(layers_per_block=1, norm_num_groups=8, **(usual | more))


def vae(factor: int = FACTOR, **more: Any) -> AutoencoderKL:
    """One whose latents are `factor` times smaller than its pictures."""
    levels = factor.bit_length()
    return AutoencoderKL(
        block_out_channels=(8,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=4,
        **more,
    )


def quiet(pipeline: Any) -> Any:
    """`pipeline` without bars."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def components(*, channels: int = 4, factor: int = FACTOR, seed: int = 0, **scheduler: Any) -> dict[str, Any]:
    """A whole model in memory: UNet of `channels` inputs, VAE, text encoder, tokenizer, scheduler."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokens = tokenizer()
        text_encoder = CLIPTextModel(text_config())
        denoiser = unet(in_channels=channels)
        coder = vae(factor)
    return {
        "unet": denoiser.eval(),
        "vae": coder.eval(),
        "text_encoder": text_encoder.eval(),
        "tokenizer": tokens,
        "scheduler": PNDMScheduler.from_config(SD1_SCHEDULER | scheduler),
    }


def save_folder(folder: Path, parts: Mapping[str, Any], index: Mapping[str, Any] | None = None) -> Path:
    """`parts` in diffusers layout, as its `save_pretrained` would write them; `index`: what else it says."""
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1"} | dict(index or {})
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        library = "transformers" if name.startswith(("tokenizer", "text_encoder")) else "diffusers"
        index[name] = [library, type(part).__name__]
    index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    (folder / "model_index.json").write_text(_json(index), encoding="utf-8")
    return folder


def save_file_of(path: Path, parts: Mapping[str, Any]) -> Path:
    """`parts` as one `.safetensors` file in the layout of the original (CompVis) code."""
    save_file(ldm_state(parts["unet"], parts["vae"], parts["text_encoder"]), path)
    return path


def _json(value: Any) -> str:
    import json

    return json.dumps(value, indent=2)

"""Checkpoints of the Stable Diffusion family in one file, with the names that the original codes give."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import CLIPTextModel

from tests import tiny
from tests.tiny_ldm import _unet_name, _vae_name
from tests.tiny_xl import xl_components

State = dict[str, torch.Tensor]

CHECKPOINTS: Mapping[str, str] = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2 (OpenCLIP's names)",
    "sdxl": "Stable Diffusion XL",
    "refiner": "its refiner",
}
"""Families in one file that are drawn beside stock diffusers → what they are called."""
TINY_VAES: Mapping[str, str] = {
    "folder": "a folder with TAESD",
    "file": "TAESD in one file by diffusers' names",
    "pair": "`taesd_decoder.safetensors` with `taesd_encoder.safetensors` beside it",
    "pair by the encoder": "the same, named by the encoder",
    "both by numbers": "both halves in one file by its maker's names",
    "ComfyUI's": "the same with `taesd_encoder.` and `taesd_decoder.` before them",
}
VAES: Mapping[str, str] = TINY_VAES | {
    "vae_file": "a file by the original code's names",
    "old_vae": "a file by diffusers' first names of attention",
    "model file": "a whole checkpoint, whose VAE is taken",
}
"""What can be the VAE of another model."""
FOLDERS: Mapping[str, Mapping[str, str]] = {
    "fp16, plain and bf16 side by side": {"unet": "fp16", "vae": "", "text_encoder": "bf16"},
    "bf16 alone": {"unet": "bf16", "vae": "bf16", "text_encoder": "bf16"},
    "`non_ema`, and a VAE in fp16 only": {"unet": "non_ema", "vae": "fp16", "text_encoder": ""},
}
"""Forms of weights in a folder: part → variant."""
SHARDS: Mapping[str, Mapping[str, str]] = {
    "a UNet in shards": {"unet": ""},
    "shards in fp16 beside plain ones": {"unet": "fp16", "text_encoder": ""},
    "all parts in shards, each in its own form": {"unet": "", "text_encoder": "fp16", "vae": "bf16"},
    "`non_ema` shards": {"text_encoder": "non_ema"},
}
"""The same in several files."""


def unet_state(unet: Any, prefix: str = "model.diffusion_model.") -> State:
    """A UNet, with XL's numbers of size where it has them."""
    state = {}
    for key, weight in unet.state_dict().items():
        name = _unet_name(key, unet)
        name = name.replace("add_embedding.linear_1.", "label_emb.0.0.").replace(
            "add_embedding.linear_2.", "label_emb.0.2."
        )
        state[f"{prefix}{name}"] = weight
    return state


def vae_state(vae: Any, prefix: str = "first_stage_model.") -> State:
    """A VAE, whose attention was made of convolutions."""
    state = {}
    for key, weight in vae.state_dict().items():
        name = _vae_name(key, len(vae.config.block_out_channels))
        in_attention = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name)
        state[f"{prefix}{name}"] = weight[:, :, None, None] if in_attention else weight
    return state


def half_state(vae: Any, half: str, prefix: str = "") -> State:
    """The encoder or decoder of a TAESD by its maker's names, which count the limit of the decoder's latents."""
    state = {}
    for key, weight in getattr(vae, half).state_dict().items():
        number, _, rest = key.removeprefix("layers.").partition(".")
        state[f"{prefix}{int(number) + (half == 'decoder')}.{rest}"] = weight
    return state


def clip_state(encoder: Any, prefix: str, *, old: bool = False) -> State:
    """OpenAI's CLIP, by transformers' names; `old`: without `text_model.`, as some merges have it."""
    start = "" if old else "text_model."
    return {f"{prefix}{start}{key.removeprefix('text_model.')}": weight for key, weight in encoder.state_dict().items()}


def open_clip_state(encoder: Any, prefix: str) -> State:
    """OpenCLIP's names, with query, key and value in one."""
    names = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.": "ln_final.",
        "encoder.layers.": "transformer.resblocks.",
        ".layer_norm1.": ".ln_1.",
        ".layer_norm2.": ".ln_2.",
        ".mlp.fc1.": ".mlp.c_fc.",
        ".mlp.fc2.": ".mlp.c_proj.",
        ".self_attn.out_proj.": ".attn.out_proj.",
    }
    state: State = {f"{prefix}logit_scale": torch.tensor(4.6)}
    own = {key.removeprefix("text_model."): weight for key, weight in encoder.state_dict().items()}
    for key, weight in own.items():
        if key == "text_projection.weight":
            state[f"{prefix}text_projection"] = weight.T
        elif found := re.match(r"(.*)\.self_attn\.q_proj\.(weight|bias)$", key):
            parts = [own[f"{found[1]}.self_attn.{part}_proj.{found[2]}"] for part in "qkv"]
            block = found[1].replace("encoder.layers.", "transformer.resblocks.")
            state[f"{prefix}{block}.attn.in_proj_{found[2]}"] = torch.cat(parts)
        elif not re.search(r"self_attn\.[kv]_proj", key):
            name = key
            for ours, theirs in names.items():
                name = name.replace(ours, theirs)
            state[f"{prefix}{name}"] = weight
    return state


def state_of(parts: Mapping[str, Any], family: str) -> State:
    """A whole checkpoint: `sd1 sd2 sdxl refiner`."""
    state = unet_state(parts["unet"]) | vae_state(parts["vae"])
    match family:
        case "sd1":
            return state | clip_state(parts["text_encoder"], "cond_stage_model.transformer.")
        case "sd2":
            return state | open_clip_state(parts["text_encoder"], "cond_stage_model.model.")
        case "sdxl":
            state |= clip_state(parts["text_encoder"], "conditioner.embedders.0.transformer.")
            return state | open_clip_state(parts["text_encoder_2"], "conditioner.embedders.1.model.")
    return state | open_clip_state(parts["text_encoder_2"], "conditioner.embedders.0.model.")


def sd2_components(**scheduler: Any) -> dict[str, Any]:
    """Stable Diffusion 2 in small: linear projections, and a text encoder with another activation."""
    parts = tiny.components(**scheduler)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        unet = tiny.unet(use_linear_projection=True, attention_head_dim=(2, 4))
        text = CLIPTextModel(tiny.text_config(hidden_act="gelu"))
    return parts | {"unet": unet.eval(), "text_encoder": text.eval()}


def components_of(family: str) -> dict[str, Any]:
    match family:
        case "sd1":
            return tiny.components()
        case "sd2":
            return sd2_components()
    return xl_components(refiner=family == "refiner")


def _without_text_model(parts: Mapping[str, Any]) -> State:
    text = clip_state(parts["text_encoder"], "cond_stage_model.transformer.", old=True)
    return unet_state(parts["unet"]) | vae_state(parts["vae"]) | text


def _in(dtype: torch.dtype) -> Callable[[Mapping[str, Any]], State]:
    return lambda parts: {key: weight.to(dtype) for key, weight in state_of(parts, "sd1").items()}


OTHER_NAMES: Mapping[str, Callable[[Mapping[str, Any]], State]] = {
    "text encoder without `text_model.`": _without_text_model,
    "fp16": _in(torch.float16),
    "bf16": _in(torch.bfloat16),
    "float64": _in(torch.float64),
    "fp8": _in(torch.float8_e4m3fn),
    "what a training leaves (`model_ema.`, `betas`)": lambda parts: (
        state_of(parts, "sd1") | {"model_ema.decay": torch.ones(()), "betas": torch.ones(3)}
    ),
    "position ids": lambda parts: (
        state_of(parts, "sd1")
        | {"cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None]}
    ),
    "UNet as `diffusion_model.`": lambda parts: {
        key.removeprefix("model.") if key.startswith("model.diffusion_model.") else key: weight
        for key, weight in state_of(parts, "sd1").items()
    },
}
"""Checkpoints by other names than the usual ones, or in other precisions."""


def save(path: Path, state: State, metadata: Mapping[str, str] | None = None) -> Path:
    save_file({key: weight.contiguous().clone() for key, weight in state.items()}, path, dict(metadata or {}))
    return path

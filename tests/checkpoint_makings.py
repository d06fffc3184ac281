"""Checkpoints of the Stable Diffusion family in one file, with the names that the original codes give."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import CLIPTextModel

from tests import tiny
from tests.tiny_ldm import _unet_name, _vae_name
from tests.tiny_xl import xl_components

State = dict[str, torch.Tensor]


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


def save(path: Path, state: State, metadata: Mapping[str, str] | None = None) -> Path:
    save_file({key: weight.contiguous().clone() for key, weight in state.items()}, path, dict(metadata or {}))
    return path

"""The names that the original (CompVis) code gives to the weights of a Stable Diffusion 1 model."""

import re
from typing import Any

import torch

Renames = list[tuple[str, str]]

RESNET = [
    ("norm1.", "in_layers.0."),
    ("conv1.", "in_layers.2."),
    ("time_emb_proj.", "emb_layers.1."),
    ("norm2.", "out_layers.0."),
    ("conv2.", "out_layers.3."),
    ("conv_shortcut.", "skip_connection."),
]
ATTENTION = [
    ("to_q.", "q."),
    ("to_k.", "k."),
    ("to_v.", "v."),
    ("to_out.0.", "proj_out."),
    ("group_norm.", "norm."),
]


def ldm_state(unet: Any, vae: Any, text_encoder: Any) -> dict[str, torch.Tensor]:
    """One flat state dict, as in `v1-5-pruned.safetensors`."""
    state = {f"model.diffusion_model.{_unet_name(k, unet)}": v for k, v in unet.state_dict().items()}
    for key, weight in vae.state_dict().items():
        name = _vae_name(key, len(vae.config.block_out_channels))
        in_attention = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name)
        state[f"first_stage_model.{name}"] = weight[:, :, None, None] if in_attention else weight
    for key, weight in text_encoder.state_dict().items():
        name = key if key.startswith("text_model.") else f"text_model.{key}"
        state[f"cond_stage_model.transformer.{name}"] = weight
    return {key: weight.contiguous().clone() for key, weight in state.items()}


def _unet_name(key: str, unet: Any) -> str:
    per_block = unet.config.layers_per_block
    levels = len(unet.config.block_out_channels)
    starts: Renames = [
        ("time_embedding.linear_1.", "time_embed.0."),
        ("time_embedding.linear_2.", "time_embed.2."),
        ("conv_in.", "input_blocks.0.0."),
        ("conv_norm_out.", "out.0."),
        ("conv_out.", "out.2."),
        ("mid_block.resnets.0.", "middle_block.0."),
        ("mid_block.attentions.0.", "middle_block.1."),
        ("mid_block.resnets.1.", "middle_block.2."),
    ]
    for level in range(levels):
        has_attention = "CrossAttn" in unet.config.up_block_types[level]
        for layer in range(per_block):
            block = f"input_blocks.{1 + level * (per_block + 1) + layer}"
            starts.append((f"down_blocks.{level}.resnets.{layer}.", f"{block}.0."))
            starts.append((f"down_blocks.{level}.attentions.{layer}.", f"{block}.1."))
        down = (level + 1) * (per_block + 1)
        starts.append((f"down_blocks.{level}.downsamplers.0.conv.", f"input_blocks.{down}.0.op."))
        for layer in range(per_block + 1):
            block = f"output_blocks.{level * (per_block + 1) + layer}"
            starts.append((f"up_blocks.{level}.resnets.{layer}.", f"{block}.0."))
            starts.append((f"up_blocks.{level}.attentions.{layer}.", f"{block}.1."))
        up = f"output_blocks.{level * (per_block + 1) + per_block}.{2 if has_attention else 1}"
        starts.append((f"up_blocks.{level}.upsamplers.0.conv.", f"{up}.conv."))
    return _renamed(key, starts, RESNET if ".resnets." in key else [])


def _vae_name(key: str, levels: int) -> str:
    starts: Renames = []
    for side in ("encoder", "decoder"):
        starts += [
            (f"{side}.mid_block.resnets.0.", f"{side}.mid.block_1."),
            (f"{side}.mid_block.resnets.1.", f"{side}.mid.block_2."),
            (f"{side}.mid_block.attentions.0.", f"{side}.mid.attn_1."),
            (f"{side}.conv_norm_out.", f"{side}.norm_out."),
        ]
    for level in range(levels):
        mirrored = levels - 1 - level
        starts += [
            (f"encoder.down_blocks.{level}.downsamplers.0.", f"encoder.down.{level}.downsample."),
            (f"decoder.up_blocks.{level}.upsamplers.0.", f"decoder.up.{mirrored}.upsample."),
        ]
        for layer in range(4):
            starts += [
                (f"encoder.down_blocks.{level}.resnets.{layer}.", f"encoder.down.{level}.block.{layer}."),
                (f"decoder.up_blocks.{level}.resnets.{layer}.", f"decoder.up.{mirrored}.block.{layer}."),
            ]
    inner = ATTENTION if ".attentions." in key else [("conv_shortcut.", "nin_shortcut.")]
    return _renamed(key, starts, inner)


def _renamed(key: str, starts: Renames, inner: Renames) -> str:
    for ours, theirs in starts:
        if key.startswith(ours):
            rest = key.removeprefix(ours)
            for part, original in inner:
                if rest.startswith(part):
                    rest = original + rest.removeprefix(part)
                    break
            return theirs + rest
    return key

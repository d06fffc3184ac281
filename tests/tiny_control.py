"""Tiny ControlNets with random weights, for the tiny models."""

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file

from tests.tiny_ldm import _unet_name

WIDTHS = (8, 8, 8, 16)
"""Three halvings, from pixels to the latents of a VAE whose factor is 8."""


def controlnet(unet: Any, *, seed: int = 0, **changes: Any) -> Any:
    """A ControlNet for `unet` whose last layers are not zero, or it would have no effect."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        like: Any = ControlNetModel
        network = like.from_unet(unet, conditioning_embedding_out_channels=WIDTHS)
        if changes:
            network = like.from_config({**network.config, **changes})
        for layer in (*network.controlnet_down_blocks, network.controlnet_mid_block):
            torch.nn.init.normal_(layer.weight, std=0.2)
            torch.nn.init.normal_(layer.bias, std=0.2)
        torch.nn.init.normal_(network.controlnet_cond_embedding.conv_out.weight, std=0.2)
    return network.eval()


def save_controlnet(folder: Path, network: Any) -> Path:
    """In diffusers layout."""
    network.save_pretrained(folder)
    return folder


def save_file_of(path: Path, network: Any, unet: Any = None) -> Path:
    """As one file; in the layout of the original (CompVis) code where the `unet` is given that it belongs to."""
    named = {_ldm_name(key, unet) if unet else key: weight for key, weight in network.state_dict().items()}
    save_file({key: weight.contiguous().clone() for key, weight in named.items()}, path)
    return path


def _ldm_name(key: str, unet: Any) -> str:
    if found := re.fullmatch(r"controlnet_cond_embedding\.blocks\.(\d+)\.(\w+)", key):
        return f"control_model.input_hint_block.{2 * int(found[1]) + 2}.{found[2]}"
    for ours, theirs in (
        (r"controlnet_down_blocks\.(\d+)\.", r"zero_convs.\1.0."),
        (r"controlnet_mid_block\.", "middle_block_out.0."),
        (r"controlnet_cond_embedding\.conv_in\.", "input_hint_block.0."),
        (r"controlnet_cond_embedding\.conv_out\.", "input_hint_block.14."),
    ):
        if re.match(ours, key):
            return f"control_model.{re.sub(ours, theirs, key)}"
    return f"control_model.{_unet_name(key, unet)}"

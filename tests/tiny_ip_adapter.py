"""Tiny IP-Adapters and image encoders with random weights, for the tiny models: the file formats of the real ones."""

from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

WIDTH, PROJECTED, INNER = 32, 24, 64
"""Of the image encoder, a patch and a picture; of the resampler's one head."""
IPKind = Literal["plain", "full", "plus"]


def image_encoder(seed: int = 0) -> Any:
    """Sixteen patches and what stands for the whole."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=64,
            projection_dim=PROJECTED,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
        )
        return CLIPVisionModelWithProjection(config).eval()


def save_ip_adapter(path: Path, unet: Any, kind: IPKind, *, seed: int = 0) -> Path:
    """An IP-Adapter for `unet`, strong enough to have a visible effect."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int, std: float = 0.3) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * std

    across = unet.config.cross_attention_dim
    image = {"plain": _plain, "full": _full, "plus": _plus}[kind](across, some)
    tensors = {f"image_proj.{key}": tensor for key, tensor in image.items()}
    for at, (_, layer) in enumerate(
        (name, module) for name, module in _in_order(unet) if name.endswith("attn2.processor")
    ):
        hidden = layer.to_k.weight.shape[0]
        tensors[f"ip_adapter.{2 * at + 1}.to_k_ip.weight"] = some(hidden, across)
        tensors[f"ip_adapter.{2 * at + 1}.to_v_ip.weight"] = some(hidden, across)
    save_file(tensors, path)
    return path


def _in_order(unet: Any) -> list[tuple[str, Any]]:
    """As files number them: in the order of the UNet's processors."""
    return [(name, unet.get_submodule(name.removesuffix(".processor"))) for name in unet.attn_processors]


def _plain(across: int, some: Any) -> dict[str, torch.Tensor]:
    return {
        "proj.weight": some(4 * across, PROJECTED),
        "proj.bias": some(4 * across),
        "norm.weight": 1 + some(across),
        "norm.bias": some(across),
    }


def _full(across: int, some: Any) -> dict[str, torch.Tensor]:
    return {
        "proj.0.weight": some(WIDTH, WIDTH),
        "proj.0.bias": some(WIDTH),
        "proj.2.weight": some(across, WIDTH),
        "proj.2.bias": some(across),
        "proj.3.weight": 1 + some(across),
        "proj.3.bias": some(across),
    }


def _plus(across: int, some: Any) -> dict[str, torch.Tensor]:
    tensors = {
        "latents": some(1, 5, WIDTH),
        "proj_in.weight": some(WIDTH, WIDTH),
        "proj_in.bias": some(WIDTH),
        "proj_out.weight": some(across, WIDTH),
        "proj_out.bias": some(across),
        "norm_out.weight": 1 + some(across),
        "norm_out.bias": some(across),
    }
    for layer in range(4):
        tensors |= {
            f"layers.{layer}.0.norm1.weight": 1 + some(WIDTH),
            f"layers.{layer}.0.norm1.bias": some(WIDTH),
            f"layers.{layer}.0.norm2.weight": 1 + some(WIDTH),
            f"layers.{layer}.0.norm2.bias": some(WIDTH),
            f"layers.{layer}.0.to_q.weight": some(INNER, WIDTH),
            f"layers.{layer}.0.to_kv.weight": some(2 * INNER, WIDTH),
            f"layers.{layer}.0.to_out.weight": some(WIDTH, INNER),
            f"layers.{layer}.1.0.weight": 1 + some(WIDTH),
            f"layers.{layer}.1.0.bias": some(WIDTH),
            f"layers.{layer}.1.1.weight": some(4 * WIDTH, WIDTH),
            f"layers.{layer}.1.3.weight": some(WIDTH, 4 * WIDTH),
        }
    return tensors

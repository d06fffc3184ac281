"""What one `.safetensors` file holds, told by the names and shapes of its tensors."""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.models.header import Header, read_header
from invoke.models.spec import Kind, ModelSpec

PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""Endings of weights that can hold code."""

_UNET = "model.diffusion_model."
_SDXL = "conditioner.embedders.1.model."
_REFINER = "conditioner.embedders.0.model."
_LORA = re.compile(r"[._](lora_(A|B|up|down)|lora_linear_layer|lokr_w\d|hada_w\d_[ab])\b|^lora_(unet|te)")


def recognise_file(name: str, path: Path, kind: Kind = "model", *, weights: str = "") -> ModelSpec:
    """What the `.safetensors` file `path`, called `name`, holds. `weights`: how the entry names it, if not by its path.

    One whose tensors tell nothing is believed to be the `kind` that is asked for, but for whole models.
    Raises ModelError when it is damaged, or no model that is known.
    """
    stamp = path.stat()
    found = _recognise_file(path, stamp.st_mtime_ns, stamp.st_size)
    if found is None and kind == "model":
        raise ModelError(
            f"{name}: this file holds no model of a family that is known",
            code="unknown_family",
            hint="name a checkpoint of Stable Diffusion 1, 2 or XL, or a folder in diffusers layout",
        )
    return ModelSpec(
        name=name, weights=weights or str(path), **({"description": "single file"} | (found or {"kind": kind}))
    )


@lru_cache(256)
def _recognise_file(path: Path, changed: int, size: int) -> dict[str, Any] | None:
    return recognise_header(read_header(path))


def recognise_header(header: Header) -> dict[str, Any] | None:
    """The fields of a ModelSpec that a file's tensors tell; None where they tell nothing."""
    return next((fields for fields in (tell(header) for tell in _TELL) if fields is not None), None)


def _checkpoint(header: Header) -> dict[str, Any] | None:
    """Stable Diffusion in the layout of the original code."""
    if f"{_UNET}input_blocks.0.0.weight" not in header:
        return None
    if any(key.startswith(_SDXL) for key in header):
        return {"family": "sdxl", "width": 1024, "height": 1024, "sampler": "k_euler"}
    if any(key.startswith(_REFINER) for key in header):
        return {"family": "sdxl-refiner", "width": 1024, "height": 1024, "sampler": "k_euler"}
    text = header.get(f"{_UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight")
    side = 768 if text is not None and text["shape"][-1] == 1024 else 512
    return {"family": "sd", "width": side, "height": side}


def _lora(header: Header) -> dict[str, Any] | None:
    if not any(_LORA.search(key) for key in header):
        return None
    return {"kind": "lora", "family": "sdxl" if _is_xl(header) else "sd"}


def _controlnet(header: Header) -> dict[str, Any] | None:
    kept = (
        "controlnet_cond_embedding.conv_in.weight",
        "control_model.input_blocks.0.0.weight",
        "input_hint_block.0.weight",
    )
    if not any(key in header for key in kept):
        return None
    is_xl = "add_embedding.linear_1.weight" in header
    return {"kind": "controlnet", "family": "sdxl" if is_xl else "sd"}


def _vae(header: Header) -> dict[str, Any] | None:
    kept = ("encoder.conv_in.weight", "first_stage_model.encoder.conv_in.weight")
    return {"kind": "vae"} if any(key in header for key in kept) else None


def _face(header: Header) -> dict[str, Any] | None:
    """GFPGAN, CodeFormer, and RestoreFormer, which is built like a VAE around a codebook."""
    told = any(key.startswith(("stylegan_decoder.", "idx_pred_layer.")) for key in header)
    has_codebook = all(key in header for key in ("quantize.embedding.weight", "encoder.down.0.block.0.norm1.weight"))
    return {"kind": "face"} if told or has_codebook else None


def _upscaler(header: Header) -> dict[str, Any] | None:
    """ESRGAN and its kin."""
    kept = ("model.0.weight", "conv_first.weight", "body.0.rdb1.conv1.weight", "body.0.weight")
    return {"kind": "upscaler"} if any(key.removeprefix("params_ema.") in kept for key in header) else None


def _embedding(header: Header) -> dict[str, Any] | None:
    """Nothing but vectors, at least as wide as a small text encoder."""
    flat = len(header) <= 2 and all(len(tensor["shape"]) in (1, 2) for tensor in header.values())
    return {"kind": "embedding"} if flat else None


def _is_xl(header: Header) -> bool:
    """Two text encoders, or the width of their texts together."""
    second = any("te2_" in key or "text_encoder_2" in key or key.startswith("add_embedding.") for key in header)
    return second or any(
        tensor["shape"][-1:] == [2048] for key, tensor in header.items() if "attn2" in key and "to_k" in key
    )


_TELL: tuple[Callable[[Header], dict[str, Any] | None], ...] = (
    _checkpoint,
    _lora,
    _controlnet,
    _face,
    _vae,
    _upscaler,
    _embedding,
)

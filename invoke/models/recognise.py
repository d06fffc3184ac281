"""What a folder or a file holds, from its configs or the names and shapes of its tensors, without torch."""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.models.safetensors_header import Header, read_header
from invoke.models.spec import Family, Kind, ModelSpec

DEFAULT_CONFIGS: Mapping["Layout", str] = {
    ("sd", 4, 768): "stable-diffusion-v1-5/stable-diffusion-v1-5",
    ("sd", 9, 768): "stable-diffusion-v1-5/stable-diffusion-inpainting",
    ("sd", 4, 1024): "stabilityai/stable-diffusion-2-1",
    ("sd", 9, 1024): "stabilityai/stable-diffusion-2-inpainting",
    ("sdxl", 4, 2048): "stabilityai/stable-diffusion-xl-base-1.0",
    ("sdxl", 9, 2048): "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
    ("sdxl-refiner", 4, 1280): "stabilityai/stable-diffusion-xl-refiner-1.0",
}
"""(family, UNet channels, width of the text) → where a single file's tokenizer and configs are taken from."""

Layout = tuple[Family, int, int]


def kind_of_file(name: str, path: Path) -> Layout:
    """What the single file `path` holds, by its tensors: a key of `DEFAULT_CONFIGS`.

    Raises ModelError for everything else.
    """
    header = read_header(path)
    first, text = header.get(f"{_UNET}input_blocks.0.0.weight"), _text_width(header)
    if first is None:
        lora = any("lora" in key for key in header)
        raise ModelError(
            f"{name}: this file holds "
            + ("a LoRA, which is added to a model" if lora else "no Stable Diffusion model in the original layout"),
            hint="name a whole checkpoint, or a folder in diffusers layout",
        )
    family: Family = "sd"
    if any(key.startswith("conditioner.embedders.1.") for key in header):
        family = "sdxl"
    elif any(key.startswith("conditioner.embedders.0.") for key in header):
        family = "sdxl-refiner"
    return family, int(first["shape"][1]), text


def configs_of(name: str, kind: Layout) -> str:
    """The hub id of the configs of `kind`. Raises ModelError."""
    family, channels, text = kind
    near = {width: repository for (*known, width), repository in DEFAULT_CONFIGS.items() if known == [family, channels]}
    if not near:
        raise ModelError(f"{name}: a UNet of {channels} channels belongs to a family that is not known yet")
    return near.get(text, next(iter(near.values())))


def _text_width(header: Header) -> int:
    keys = (key for key in header if key.startswith(_UNET) and key.endswith("attn2.to_k.weight"))
    key = next(keys, None)
    return 0 if key is None else int(header[key]["shape"][-1])


INDEX = "model_index.json"
SD_PARTS = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
}
"""What makes up Stable Diffusion 1 and 2."""
AUTO_SIDE, AUTO_MULTIPLE = 1024, 16
"""Of a transformer whose configs do not say: what SD 3, Flux and their kin make."""

_PARTS_ALONE = {"ControlNetModel": "controlnet", "AutoencoderKL": "vae", "AutoencoderTiny": "vae"}
_UPSCALERS = ("StableDiffusionUpscalePipeline", "StableDiffusionLatentUpscalePipeline")


def recognise_folder(name: str, path: Path, *, weights: str = "") -> ModelSpec:
    """What the folder `path`, called `name`, holds. `weights`: how the entry names it, if not by its path.

    Raises ModelError when it is no model, or lacks what would tell.
    """
    stamps = tuple(_stamp(path / file) for file in (INDEX, "config.json"))
    fields = _recognise_folder(name, path, stamps)
    return ModelSpec(name=name, weights=weights or str(path), **({"description": "folder"} | fields))


@lru_cache(256)
def _recognise_folder(name: str, path: Path, stamps: tuple[int, ...]) -> dict[str, Any]:
    if (path / INDEX).is_file():
        return _pipeline(name, path, _read(name, path / INDEX))
    if (path / "config.json").is_file():
        return _part(name, _read(name, path / "config.json"))
    if (path / "pytorch_lora_weights.safetensors").is_file():
        return {"kind": "lora"}
    if (path / "learned_embeds.safetensors").is_file():
        return {"kind": "embedding"}
    raise ModelError(
        f"{name}: this folder is no model: it has no {INDEX}",
        hint="name a folder in diffusers layout or a .safetensors file",
    )


def _part(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(config.get("_class_name") or next(iter(config.get("architectures") or ()), "unknown"))
    if kind == "CLIPSegForImageSegmentation":
        return {"kind": "text-mask"}
    if kind not in _PARTS_ALONE:
        raise ModelError(f"{name}: this folder is no whole model: it holds a {kind} alone")
    is_xl = config.get("addition_embed_type") == "text_time"
    return {"kind": _PARTS_ALONE[kind], "family": "sdxl" if is_xl else "sd"}


def _pipeline(name: str, path: Path, index: Mapping[str, Any]) -> dict[str, Any]:
    classes = {
        part: str(entry[1])
        for part, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None
    }
    pipeline = str(index.get("_class_name", ""))
    if pipeline in _UPSCALERS:
        return {"kind": "upscaler", "family": "auto"}
    if pipeline.startswith("KandinskyV22"):
        return _kandinsky(name, path, classes)
    if "movq" not in classes and classes.get("unet") == "UNet2DConditionModel" and "prior" not in classes:
        if "text_encoder_2" in classes:
            family = "sdxl" if "text_encoder" in classes else "sdxl-refiner"
            return {"family": family, "sampler": "k_euler"} | _size(name, path)
        if all(classes.get(part, "").removesuffix("Fast") == kind for part, kind in SD_PARTS.items()):
            return {"family": "sd"} | _size(name, path)
    return _auto(name, path)


def _size(name: str, path: Path) -> dict[str, int]:
    """Of a UNet on an AutoencoderKL."""
    multiple = _factor(name, path / "vae")
    side = _number(name, path / "unet", "sample_size") * multiple
    return {"width": side, "height": side, "multiple": multiple}


def _kandinsky(name: str, path: Path, classes: Mapping[str, str]) -> dict[str, Any]:
    if "unet" not in classes:
        raise ModelError(
            f"{name}: this is the prior of a Kandinsky model, not the model",
            hint="name the decoder with -m, and the prior in its entry: !edit_model NAME prior …",
        )
    factor = _factor(name, path / "movq")
    side = _number(name, path / "unet", "sample_size") * factor
    beside = path.with_name(path.name.replace("decoder", "prior"))
    prior = str(beside) if beside != path and (beside / INDEX).is_file() and "prior_prior" not in classes else ""
    # the latents are of a size that the MoVQ's factor divides once more
    size = {"width": side, "height": side, "multiple": factor**2}
    return {"family": "kandinsky", "sampler": "ddpm", "prior": prior} | size


def _auto(name: str, path: Path) -> dict[str, Any]:
    try:
        factor = _factor(name, path / "vae")
        side = _number(name, path / "transformer", "sample_size") * factor
    except ModelError:
        factor, side = 1, AUTO_SIDE
    return {
        "family": "auto",
        "sampler": "k_euler",
        "width": side,
        "height": side,
        "multiple": max(AUTO_MULTIPLE, factor),
    }


def _factor(name: str, vae: Path) -> int:
    """Pixels per latent, each way."""
    config = _read(name, vae / "config.json")
    blocks = config.get("block_out_channels") or config.get("encoder_block_out_channels")
    if not isinstance(blocks, list):
        raise ModelError(f"{name}: this model is incomplete: {vae.name}/config.json lacks block_out_channels")
    return int(2 ** (len(blocks) - 1))


def _number(name: str, part: Path, field: str) -> int:
    value = _read(name, part / "config.json").get(field)
    if type(value) is not int or value < 1:
        raise ModelError(f"{name}: this model is incomplete: {part.name}/config.json lacks {field}")
    return value


def _read(name: str, path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{name}: this model is incomplete: {path.parent.name}/{path.name} is missing",
            hint="fetch it again; a download may have been cut off",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{name}: {path} is damaged: {str(error).splitlines()[0]}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{name}: {path} is damaged: it holds no object")
    return value


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


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

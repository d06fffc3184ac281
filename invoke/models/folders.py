"""What a folder holds, told by its configs: a pipeline in diffusers layout, or one part such as a ControlNet."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.models.spec import ModelSpec

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

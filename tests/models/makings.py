"""Recognisable folders and files with almost no content."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INDEX = {
    "sd": {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "safety_checker": [None, None],
    },
    "flux": {
        "_class_name": "FluxPipeline",
        "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    },
    "kandinsky": {
        "_class_name": "KandinskyV22Pipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "movq": ["diffusers", "VQModel"],
    },
    "prior": {"_class_name": "KandinskyV22PriorPipeline", "prior": ["diffusers", "PriorTransformer"]},
    "x4": {"_class_name": "StableDiffusionUpscalePipeline"},
}
INDEX["sdxl"] = INDEX["sd"] | {
    "_class_name": "StableDiffusionXLPipeline",
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
}
INDEX["refiner"] = INDEX["sdxl"] | {"text_encoder": [None, None], "tokenizer": [None, None]}

FOUR_LEVELS = {"block_out_channels": [1, 1, 1, 1]}


def folder(path: Path, configs: Mapping[str, Any]) -> Path:
    """A folder with `configs`: `{"model_index": …, "unet": …}`; no weights."""
    for name, config in configs.items():
        file = path / ("model_index.json" if name == "model_index" else f"{name}/config.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(config), encoding="utf-8")
    return path


def tensors(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """A `.safetensors` file with zeros of these `shapes`."""
    import numpy as np
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.zeros(shape, np.float16) for name, shape in shapes.items()}, path)
    return path

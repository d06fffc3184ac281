"""Checkpoints of the real architectures with random weights: speed does not depend on what a model has learnt.

Their numbers keep a sane size through every layer, also in float16: a weight is uniform with the variance 1 / fan-in
(LeCun et al. 1998), norms do nothing, biases are 0.
"""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

POCKET = Path(str(files("invoke") / "pocket"))
DONE = "complete"
"""An empty file that marks the checkpoint beside it as complete."""
_XL_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "prediction_type": "epsilon",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """An architecture; `texts` are the text encoders' differences from pocket's."""

    pipeline: str
    size: int
    """The native size, in pixels."""
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    texts: tuple[Mapping[str, Any], ...]
    index: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_xl(self) -> bool:
        return "XL" in self.pipeline

    @property
    def sampler(self) -> str:
        """The name in a line for the checkpoint's own scheduler."""
        return "k_euler" if self.is_xl else "ddim"


_WORDS = 49408
"""The size of CLIP's vocabulary; the tokenizer is pocket's and uses the first thousand."""
_LARGE = {
    "vocab_size": _WORDS,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
}
_GIANT = {
    "vocab_size": _WORDS,
    "hidden_size": 1280,
    "num_attention_heads": 20,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
_SMALL = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "num_hidden_layers": 2}
_KL = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
_SMALL_KL = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}
_XL_BLOCKS = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
}
_XL_VAE = {"scaling_factor": 0.13025, "force_upcast": True}

SHAPES = {
    "sd15": Shape(
        "StableDiffusionPipeline", 512, {"cross_attention_dim": 768, "attention_head_dim": 8}, _KL, (_LARGE,)
    ),
    "sdxl": Shape(
        "StableDiffusionXLPipeline",
        1024,
        {
            **_XL_BLOCKS,
            "block_out_channels": (320, 640, 1280),
            "transformer_layers_per_block": (1, 2, 10),
            "attention_head_dim": (5, 10, 20),
            "cross_attention_dim": 2048,
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        _KL | _XL_VAE,
        (_LARGE, _GIANT),
        {"force_zeros_for_empty_prompt": True},
    ),
    "tiny": Shape(
        "StableDiffusionPipeline",
        64,
        {
            "block_out_channels": (16, 32),
            "layers_per_block": 1,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": 32,
            "attention_head_dim": 4,
            "norm_num_groups": 8,
        },
        _SMALL_KL,
        (_SMALL,),
    ),
    "tiny-xl": Shape(
        "StableDiffusionXLPipeline",
        64,
        {
            **_XL_BLOCKS,
            "block_out_channels": (16, 16, 32),
            "layers_per_block": 1,
            "transformer_layers_per_block": (1, 1, 2),
            "attention_head_dim": (2, 2, 4),
            "cross_attention_dim": 64,
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 80,
            "norm_num_groups": 8,
        },
        _SMALL_KL | _XL_VAE,
        (_SMALL, _SMALL | {"projection_dim": 32}),
        {"force_zeros_for_empty_prompt": True},
    ),
}


def checkpoint(name: str, folder: Path) -> Path:
    """Where the checkpoint of the shape `name` lies below `folder`, in diffusers layout; built if it is not there."""
    place = folder / name
    if not (place / DONE).exists():
        shutil.rmtree(place, ignore_errors=True)
        _save(SHAPES[name], place)
        (place / DONE).touch()
    return place


def unet_flops(name: str, *, width: int, height: int) -> float:
    """Floating-point operations of one call of the denoiser for one picture, counted (a multiplication and an addition
    are two)."""
    import torch

    shape = SHAPES[name]
    unet, vae = _networks(shape)["unet"], _networks(shape)["vae"]
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    half: dict[str, Any] = {"dtype": torch.float16, "device": "meta"}
    inputs = torch.empty(1, 4, height // factor, width // factor, **half)
    words = torch.empty(1, 77, unet.config.cross_attention_dim, **half)
    besides = {}
    if shape.is_xl:
        pooled = shape.texts[-1]["projection_dim"]
        ids = torch.empty(1, 6, **half)
        besides = {"added_cond_kwargs": {"text_embeds": torch.empty(1, pooled, **half), "time_ids": ids}}
    return _counted(lambda: unet.half()(inputs, torch.tensor(1), words, **besides))


def decoder_flops(name: str, *, width: int, height: int) -> float:
    """The same of decoding one picture."""
    import torch

    vae = _networks(SHAPES[name])["vae"].half()
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    latents = torch.empty(1, 4, height // factor, width // factor, dtype=torch.float16, device="meta")
    return _counted(lambda: vae.decode(latents))


def _counted(work: Any) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        work()
    return float(counter.get_total_flops())


def _networks(shape: Shape) -> dict[str, Any]:
    """On the meta device, so that no time is spent on discarded weights."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    make_unet: Any = UNet2DConditionModel
    make_vae: Any = AutoencoderKL
    words = json.loads((POCKET / "text_encoder" / "config.json").read_text(encoding="utf-8"))
    levels = len(shape.vae["block_out_channels"])
    with torch.device("meta"):
        networks: dict[str, Any] = {
            "unet": make_unet(sample_size=shape.size // 8, **shape.unet),
            "vae": make_vae(
                latent_channels=4,
                down_block_types=("DownEncoderBlock2D",) * levels,
                up_block_types=("UpDecoderBlock2D",) * levels,
                **shape.vae,
            ),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**words | dict(shape.texts[0]))),
        }
        if shape.is_xl:
            second = CLIPTextConfig(**words | dict(shape.texts[1]))
            networks["text_encoder_2"] = CLIPTextModelWithProjection(second)
    return networks


def _save(shape: Shape, folder: Path) -> None:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    index: dict[str, Any] = {"_class_name": shape.pipeline, **shape.index}
    for name, network in _networks(shape).items():
        network.half().to_empty(device=device)
        _randomise(network)
        network.save_pretrained(folder / name)
        index[name] = ["transformers" if name.startswith("text") else "diffusers", type(network).__name__]
    for name in ("tokenizer", "tokenizer_2") if shape.is_xl else ("tokenizer",):
        shutil.copytree(POCKET / "tokenizer", folder / name)
        index[name] = ["transformers", "CLIPTokenizer"]
    if shape.is_xl:
        (folder / "scheduler").mkdir()
        (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(_XL_SCHEDULER), encoding="utf-8")
        index["scheduler"] = ["diffusers", "EulerDiscreteScheduler"]
    else:
        shutil.copytree(POCKET / "scheduler", folder / "scheduler")
        index["scheduler"] = ["diffusers", "DDIMScheduler"]
        index |= {"safety_checker": [None, None], "requires_safety_checker": False}
    index |= {"feature_extractor": [None, None], "image_encoder": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")


def _randomise(network: Any) -> None:
    import torch

    generator = torch.Generator(next(network.parameters()).device).manual_seed(0)
    for name, weight in network.named_parameters():
        if weight.ndim < 2:
            weight.data.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        else:
            bound = math.sqrt(3 / weight[0].numel())
            weight.data.uniform_(-bound, bound, generator=generator)
    for name, buffer in network.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1])[None])

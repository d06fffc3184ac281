"""The adapters for pocket are small, float16, and readable by plain diffusers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors import safe_open

from training import companions
from training.scenes import Scene, draw

ROOT = Path(__file__).parents[2]
POCKET, DATA = ROOT / "invoke" / "pocket", ROOT / "tests" / "data"
HOUSE = Scene("house", "hill", "day", "painting", seed=3)
STEPS = 3


def loaded(put_together: Callable[[Path, Path], DiffusionPipeline], name: str) -> DiffusionPipeline:
    if not (DATA / name).exists():
        pytest.skip(f"{name} has not been trained")
    pipeline = put_together(POCKET, DATA)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def settings() -> dict[str, object]:
    return {"num_inference_steps": STEPS, "generator": torch.Generator().manual_seed(1)}


def different(one: Image.Image, two: Image.Image) -> float:
    """Mean distance of two pictures, 0..1."""
    first, second = (np.asarray(picture, dtype=np.float64) / 255 for picture in (one, two))
    return float(np.abs(first - second).mean())


def test_companions_are_small_and_float16() -> None:
    files = [path for path in DATA.rglob("*") if path.name.endswith(".safetensors")]
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= 24e6
    assert not [path for path in DATA.rglob("*") if path.suffix in (".bin", ".ckpt", ".pt", ".part")]
    for path in files:
        with safe_open(path, "pt") as tensors:
            kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118 - not a dict
        assert kinds == {"F16"}, path


def test_no_config_contains_a_local_path() -> None:
    for path in [*DATA.rglob("*.json"), *POCKET.rglob("*.json")]:
        assert "_name_or_path" not in path.read_text(), path


def test_the_inpainting_unet_sees_the_hole() -> None:
    pipeline = loaded(companions.inpainting, companions.INPAINTING)
    assert pipeline.unet.config.in_channels == 9
    picture = draw(HOUSE, width=128, height=128)
    hole = Image.new("L", (128, 128), 0)
    hole.paste(255, (64, 0, 128, 128))
    result = pipeline("a cat", image=picture, mask_image=hole, width=128, height=128, **settings()).images[0]
    kept, painted = ((0, 0, 48, 128), (64, 0, 128, 128))
    assert different(result.crop(kept), picture.crop(kept)) < different(result.crop(painted), picture.crop(painted))


def test_the_inpainting_model_can_be_one_folder(tmp_path: Path) -> None:
    loaded(companions.inpainting, companions.INPAINTING).save_pretrained(tmp_path)
    again = DiffusionPipeline.from_pretrained(tmp_path, dtype=torch.float32)
    assert type(again).__name__ == "StableDiffusionInpaintPipeline"
    assert again.unet.config.in_channels == 9


def test_the_controlnet_changes_the_picture() -> None:
    pipeline = loaded(companions.control, companions.CONTROL)
    edges = Image.new("RGB", (128, 128), "black")
    edges.paste("white", (60, 20, 62, 110))
    with_edges, without = (
        pipeline(
            "a tree", image=edges, width=128, height=128, controlnet_conditioning_scale=scale, **settings()
        ).images[0]
        for scale in (1.0, 0.0)
    )
    assert different(with_edges, without) > 0.01


def test_the_lora_makes_the_paper_blue() -> None:
    pipeline = loaded(companions.blueprints, companions.LORA)
    styled = pipeline("blueprint of a house", width=128, height=128, **settings()).images[0]
    pipeline.unload_lora_weights()
    plain = pipeline("blueprint of a house", width=128, height=128, **settings()).images[0]
    assert blueness(styled) > blueness(plain)


def blueness(picture: Image.Image) -> float:
    red, _, blue = np.asarray(picture, dtype=np.float64).mean(axis=(0, 1))
    return float(blue - red)


def test_the_textual_inversion_adds_a_word() -> None:
    pipeline = loaded(companions.balloons, companions.INVERSION)
    assert companions.WORD in pipeline.tokenizer.tokenize(f"a {companions.WORD} on a hill")
    pictures = [
        pipeline(f"a {word} on a hill", width=128, height=128, **settings()).images[0]
        for word in (companions.WORD, "tree")
    ]
    assert different(*pictures) > 0.01


def test_the_upscaler_doubles_width_and_height() -> None:
    pipeline = loaded(companions.upscaler, companions.UPSCALER)
    small = draw(HOUSE, width=128, height=128)
    large = pipeline("", image=small, guidance_scale=0, **settings()).images[0]
    assert large.size == (256, 256)
    assert different(large, draw(HOUSE, width=256, height=256)) < 0.2

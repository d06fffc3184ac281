"""The shipped folder, seen by plain diffusers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForImage2Image, StableDiffusionPipeline
from PIL import Image

FOLDER = Path(__file__).parents[2] / "invoke" / "pocket"


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(FOLDER, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def made(pipeline: StableDiffusionPipeline, prompt: str, **sizes: int) -> np.ndarray:
    picture = pipeline(
        prompt, num_inference_steps=4, generator=torch.Generator().manual_seed(1), output_type="np", **sizes
    ).images[0]
    return np.asarray(picture)


def test_pocket_is_small() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40 * 2**20
    assert not [path for path in files if path.suffix in (".bin", ".ckpt", ".pt")]


def test_pocket_loads_in_plain_diffusers_without_a_dtype(pipeline: StableDiffusionPipeline) -> None:
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    assert {part.dtype for part in parts} == {torch.float32}


def test_pocket_has_the_architecture_of_stable_diffusion_1(pipeline: StableDiffusionPipeline) -> None:
    assert pipeline.unet.config.in_channels == 4
    assert pipeline.vae.config.latent_channels == 4
    assert pipeline.tokenizer.model_max_length == 77
    assert pipeline.safety_checker is None
    schedule = pipeline.scheduler.config
    assert (schedule.beta_schedule, schedule.beta_start, schedule.beta_end) == (
        "scaled_linear",
        0.00085,
        0.012,
    )
    assert (schedule.prediction_type, schedule.steps_offset, schedule.set_alpha_to_one) == (
        "epsilon",
        1,
        False,
    )


@pytest.mark.parametrize("size", [{}, {"width": 384, "height": 192}, {"width": 192, "height": 256}])
def test_pocket_makes_a_picture_in_plain_diffusers(pipeline: StableDiffusionPipeline, size: dict[str, int]) -> None:
    pixels = made(pipeline, "a fire in a fireplace, xyzzy 日本", **size)
    assert pixels.shape == (size.get("height", 256), size.get("width", 256), 3)
    assert np.isfinite(pixels).all()
    assert pixels.std() > 0.02


def test_the_seed_decides_the_picture(pipeline: StableDiffusionPipeline) -> None:
    assert np.array_equal(made(pipeline, "tree"), made(pipeline, "tree"))


def test_the_autoencoder_reconstructs_a_picture(pipeline: StableDiffusionPipeline) -> None:
    drawing = Image.open(FOLDER.parents[1] / "test-pictures" / "fire-drawing.png").convert("RGB")
    pixels = torch.from_numpy(np.asarray(drawing, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        latents = pipeline.vae.encode(pixels).latent_dist.mode()
        again = pipeline.vae.decode(latents).sample.clamp(-1, 1)
    assert latents.shape == (1, 4, 24, 24)
    assert 10 * np.log10(4 / float((again - pixels).square().mean())) > 18


def test_pocket_draws_image_to_image_in_plain_diffusers(pipeline: StableDiffusionPipeline) -> None:
    again = AutoPipelineForImage2Image.from_pipe(pipeline)
    again.set_progress_bar_config(disable=True)
    start = Image.new("RGB", (256, 192), (200, 90, 30))
    result = again(
        "fire", image=start, strength=0.5, num_inference_steps=6, generator=torch.Generator().manual_seed(1)
    ).images[0]
    assert result.size == (256, 192)

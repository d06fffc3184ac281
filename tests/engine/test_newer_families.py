"""Each family on the list draws the picture of AutoPipeline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest

from invoke.engine.diffusion_engine import DiffusionEngine
from tests import tiny_families
from tests.engine.making import make
from tests.engine.stock import in_bytes, run
from tests.making import ARequest


@pytest.mark.parametrize(
    ("maker", "arguments"),
    [
        (tiny_families.z_image, {"guidance_scale": 3.0}),  # it counts from 0
        (tiny_families.qwen_image, {"true_cfg_scale": 4.0}),
        (tiny_families.chroma, {"guidance_scale": 4.0}),
        pytest.param(tiny_families.sana, {"guidance_scale": 4.0}, marks=pytest.mark.slow),
    ],
)
def test_text_to_image_matches_the_pipeline(
    maker: Callable[[], Any], arguments: dict[str, float], engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    maker().save_pretrained(tmp_path / "model")
    stock = diffusers.AutoPipelineForText2Image.from_pretrained(str(tmp_path / "model"))
    stock.set_progress_bar_config(disable=True)
    theirs = stock("a fire", negative_prompt="rain", width=64, height=64, **arguments, **run(2))
    request = a_request(model=tmp_path / "model", negative_prompt="rain", guidance_scale=4.0, steps=2)
    assert np.array_equal(make(engine, request), in_bytes(theirs))


def test_without_guidance_z_image_is_called_once_per_step(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    stock = tiny_families.z_image()
    stock.save_pretrained(tmp_path / "model")
    theirs = stock("a fire", width=64, height=64, guidance_scale=0.0, **run(2))
    request = a_request(model=tmp_path / "model", guidance_scale=1.0, steps=2)
    assert np.array_equal(make(engine, request), in_bytes(theirs))

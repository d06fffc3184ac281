"""Stable Diffusion XL: the same pictures as diffusers' own pipelines, in every mode; base and refiner together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from tests import tiny
from tests.engine.making import make, save, scene
from tests.engine.stock import apart, holed, in_bytes, run, stock_pipeline
from tests.making import ARequest
from tests.tiny_xl import xl_components, xl_index

pytestmark = pytest.mark.usefixtures("posterior_mode")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_folder(tmp_path_factory.mktemp("xl") / "base", xl_components(), xl_index())


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = xl_components(refiner=True, seed=1)
    parts["vae"] = xl_components()["vae"]
    return tiny.save_folder(tmp_path_factory.mktemp("xl") / "refiner", parts, xl_index(refiner=True))


@pytest.mark.parametrize("negative", ["", "a cat"])
@pytest.mark.parametrize("guidance_scale", [5.0, 1.0])
@pytest.mark.parametrize("size", [(64, 64), (72, 48)])
def test_text_to_image_matches_the_pipeline(  # noqa: PLR0917 - filled in by pytest
    negative: str,
    guidance_scale: float,
    size: tuple[int, int],
    engine: DiffusionEngine,
    a_request: ARequest,
    base: Path,
) -> None:
    width, height = size
    request = a_request(model=base, negative_prompt=negative, guidance_scale=guidance_scale, width=width, height=height)
    theirs = _stock("StableDiffusionXLPipeline", base)(
        "a fire", negative_prompt=negative or None, guidance_scale=guidance_scale, width=width, height=height, **run()
    )
    assert np.array_equal(make(engine, request), in_bytes(theirs))


def test_a_first_text_encoder_with_a_projection(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    """As some conversions have it. The projection is not used."""
    parts = xl_components()
    folder = tiny.save_folder(tmp_path / "xl", parts | {"text_encoder": parts["text_encoder_2"]}, xl_index())
    theirs = _stock("StableDiffusionXLPipeline", folder)("a fire", guidance_scale=7.5, width=64, height=64, **run())
    assert np.array_equal(make(engine, a_request(model=folder)), in_bytes(theirs))


@pytest.mark.parametrize("strength", [0.5, 0.75])
def test_image_to_image_matches_the_pipeline(
    strength: float, engine: DiffusionEngine, a_request: ARequest, base: Path, tmp_path: Path
) -> None:
    path = save(tmp_path / "init.png", scene())
    theirs = _stock("StableDiffusionXLImg2ImgPipeline", base)(
        "a fire", image=Image.open(path), strength=strength, guidance_scale=7.5, **run()
    )
    assert apart(make(engine, a_request(model=base, init_image=path, strength=strength)), in_bytes(theirs)) <= 1


def test_the_refiner_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, refiner: Path, tmp_path: Path
) -> None:
    path = save(tmp_path / "init.png", scene())
    theirs = _stock("StableDiffusionXLImg2ImgPipeline", refiner)(
        "a fire", image=Image.open(path), strength=0.5, guidance_scale=7.5, **run()
    )
    assert apart(make(engine, a_request(model=refiner, init_image=path, strength=0.5)), in_bytes(theirs)) <= 1


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("strength", [0.75, 0.999])
def test_inpainting_matches_the_pipeline(
    channels: int, strength: float, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    folder = tiny.save_folder(tmp_path / "xl", xl_components(channels=channels), xl_index())
    path, repaint_mask, arguments = holed(tmp_path)
    theirs = _stock("StableDiffusionXLInpaintPipeline", folder)(
        "a fire",
        **arguments,
        strength=strength,
        guidance_scale=7.5,
        width=64,
        height=64,
        **run(),
    )
    request = a_request(model=folder, init_image=path, strength=strength, mask_blur=0)
    ours = make(engine, request)
    assert apart(ours[repaint_mask], in_bytes(theirs)[repaint_mask]) <= 1
    assert np.array_equal(ours[~repaint_mask], scene()[~repaint_mask])


@pytest.mark.parametrize("fraction", [0.8, 0.5])
def test_base_and_refiner_match_the_documented_pipelines(
    fraction: float, engine: DiffusionEngine, a_request: ARequest, base: Path, refiner: Path
) -> None:
    asked = {"guidance_scale": 7.5, "width": 64, "height": 64}
    first = _stock("StableDiffusionXLPipeline", base)
    second = _stock("StableDiffusionXLImg2ImgPipeline", refiner)
    half = first("a fire", denoising_end=fraction, **asked, **(run(10) | {"output_type": "latent"})).images
    theirs = second("a fire", denoising_start=fraction, image=half, guidance_scale=7.5, **run(10))
    request = a_request(model=base, refiner=(str(refiner), fraction), steps=10)
    assert np.array_equal(make(engine, request), in_bytes(theirs))


def _stock(pipeline: str, folder: Path) -> Any:
    return stock_pipeline(pipeline, folder, add_watermarker=False)

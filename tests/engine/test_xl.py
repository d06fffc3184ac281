"""Stable Diffusion XL: the same pictures as diffusers' own pipelines, in every mode; base and refiner together."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image

from invoke.engine.diffusion import DiffusionEngine
from tests import tiny
from tests.engine.making import disc, make, save, scene, with_alpha
from tests.making import ARequest
from tests.tiny_xl import xl_components, xl_index


@pytest.fixture(autouse=True)
def _mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


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
def test_text_to_image(  # noqa: PLR0917 - filled in by pytest
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
        "a fire", negative_prompt=negative or None, guidance_scale=guidance_scale, width=width, height=height, **_run()
    )
    assert np.array_equal(make(engine, request), _bytes(theirs))


@pytest.mark.parametrize("strength", [0.5, 0.75])
def test_image_to_image(
    strength: float, engine: DiffusionEngine, a_request: ARequest, base: Path, tmp_path: Path
) -> None:
    path = save(tmp_path / "init.png", scene())
    theirs = _stock("StableDiffusionXLImg2ImgPipeline", base)(
        "a fire", image=Image.open(path), strength=strength, guidance_scale=7.5, **_run()
    )
    assert _apart(make(engine, a_request(model=base, init_image=path, strength=strength)), theirs) <= 1


def test_the_refiner_alone(engine: DiffusionEngine, a_request: ARequest, refiner: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "init.png", scene())
    theirs = _stock("StableDiffusionXLImg2ImgPipeline", refiner)(
        "a fire", image=Image.open(path), strength=0.5, guidance_scale=7.5, **_run()
    )
    assert _apart(make(engine, a_request(model=refiner, init_image=path, strength=0.5)), theirs) <= 1


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("strength", [0.75, 0.999])
def test_inpainting(
    channels: int, strength: float, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    folder = tiny.save_folder(tmp_path / "xl", xl_components(channels=channels), xl_index())
    hole = np.repeat(np.repeat(disc(8, 8, 3), 8, 0), 8, 1)
    path = with_alpha(tmp_path / "holed.png", scene(), np.where(hole, 0, 255))
    theirs = _stock("StableDiffusionXLInpaintPipeline", folder)(
        "a fire",
        image=Image.fromarray(scene()),
        mask_image=Image.fromarray(hole.astype(np.uint8) * 255),
        strength=strength,
        guidance_scale=7.5,
        width=64,
        height=64,
        **_run(),
    )
    request = a_request(model=folder, init_image=path, strength=strength, mask_blur=0)
    ours = make(engine, request)
    assert abs(ours.astype(int) - _bytes(theirs).astype(int))[hole].max() <= 1
    assert np.array_equal(ours[~hole], scene()[~hole])


@pytest.mark.parametrize("fraction", [0.8, 0.5])
def test_base_then_refiner_is_the_documented_recipe_of_two_pipelines(
    fraction: float, engine: DiffusionEngine, a_request: ARequest, base: Path, refiner: Path
) -> None:
    run = {"guidance_scale": 7.5, "width": 64, "height": 64}
    first = _stock("StableDiffusionXLPipeline", base)
    second = _stock("StableDiffusionXLImg2ImgPipeline", refiner)
    half = first("a fire", denoising_end=fraction, **run, **(_run(10) | {"output_type": "latent"})).images
    theirs = second("a fire", denoising_start=fraction, image=half, guidance_scale=7.5, **_run(10))
    request = a_request(model=base, refiner=(str(refiner), fraction), steps=10)
    assert np.array_equal(make(engine, request), _bytes(theirs))


def _stock(pipeline: str, folder: Path) -> Any:
    stock = getattr(diffusers, pipeline).from_pretrained(str(folder), add_watermarker=False)
    stock.set_progress_bar_config(disable=True)
    return stock


def _run(steps: int = 4) -> dict[str, Any]:
    generator = torch.Generator("cpu").manual_seed(42)
    return {"num_inference_steps": steps, "generator": generator, "output_type": "np"}


def _apart(ours: np.ndarray, theirs: Any) -> int:
    """The largest difference, in levels."""
    return int(abs(ours.astype(int) - _bytes(theirs).astype(int)).max())


def _bytes(result: Any) -> np.ndarray:
    return (result.images[0] * 255).round().astype(np.uint8)

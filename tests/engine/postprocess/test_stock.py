"""The same pictures as diffusers' own pipelines make with the same generator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionLatentUpscalePipeline, StableDiffusionUpscalePipeline
from PIL import Image

from invoke.engine.components.tiles import decode_large
from invoke.engine.components.vae import decode_latents, encode_pixels
from invoke.engine.postprocess.latent_upscaler import LatentUpscaler
from invoke.errors import EngineError
from tests.engine.postprocess.conftest import Tool, enlarge, picture


def generator() -> torch.Generator:
    return torch.Generator("cpu").manual_seed(7)


def in_bytes(result: Any) -> np.ndarray:
    found: np.ndarray = (result.images[0] * 255).round().astype(int)
    return found


@pytest.mark.parametrize("scale", [9.0, 1.0])
def test_latent_upscaler_matches_the_pipeline(tool: Tool, upscalers: Path, scale: float) -> None:
    stock = StableDiffusionLatentUpscalePipeline.from_pretrained(upscalers.parent / "x2")
    stock.set_progress_bar_config(disable=True)
    latents = encode_pixels(stock.vae, torch.from_numpy(picture()).float() / 255)
    theirs = stock(
        "a fire",
        negative_prompt="a cat",
        image=latents,
        num_inference_steps=5,
        guidance_scale=scale,
        generator=generator(),
        output_type="np",
    )
    ours, steps = enlarge(tool(upscalers.parent / "x2"), picture(), negative_prompt="a cat", guidance_scale=scale)
    assert steps == 5
    assert ours.shape == (192, 128, 3)
    assert np.abs(ours - in_bytes(theirs)).max() <= 1  # theirs computes with x, ours with x / sqrt(sigma² + 1)


@pytest.mark.parametrize("scale", [7.5, 1.0])
def test_super_resolution_matches_the_pipeline(tool: Tool, upscalers: Path, scale: float) -> None:
    stock = StableDiffusionUpscalePipeline.from_pretrained(upscalers.parent / "x4")
    stock.set_progress_bar_config(disable=True)
    theirs = stock(
        "a fire",
        image=Image.fromarray(picture()),
        negative_prompt="a cat",
        num_inference_steps=5,
        guidance_scale=scale,
        generator=generator(),
        output_type="np",
    )
    ours, steps = enlarge(tool(upscalers.parent / "x4"), picture(), negative_prompt="a cat", guidance_scale=scale)
    assert steps == 5
    assert np.array_equal(ours, in_bytes(theirs))


@pytest.mark.parametrize("name", ["x2", "x4"])
@pytest.mark.parametrize("size", [(64, 64), (65, 71), (80, 104)])
def test_no_side_is_cropped(tool: Tool, upscalers: Path, name: str, size: tuple[int, int]) -> None:
    loaded = tool(upscalers.parent / name)
    ours, _ = enlarge(loaded, picture(*size), steps=1)
    assert ours.shape == (size[1] * loaded.factor, size[0] * loaded.factor, 3)


def test_latents_are_upscaled_without_decoding(tool: Tool, upscalers: Path) -> None:
    loaded = tool(upscalers.parent / "x2")
    assert isinstance(loaded, LatentUpscaler)
    own = encode_pixels(loaded.vae, torch.from_numpy(picture()).float() / 255)
    from_picture, _ = enlarge(loaded, picture())
    assert np.array_equal(enlarge(loaded, picture(), own)[0], from_picture)
    assert not np.array_equal(enlarge(loaded, picture(), own * 0.5)[0], from_picture)


def test_only_latents_of_a_compatible_vae_are_upscaled(tool: Tool, upscalers: Path) -> None:
    from tests import tiny

    loaded = tool(upscalers.parent / "x2")
    assert isinstance(loaded, LatentUpscaler)
    other = tiny.components()["vae"]
    assert loaded.reads(other)  # the same weights, loaded twice
    with torch.no_grad():
        other.decoder.conv_out.weight.mul_(2)  # finetuned decoders keep the encoder
        assert loaded.reads(other)
        other.encoder.conv_out.weight.mul_(2)
        assert not loaded.reads(other)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("name", ["x2", "x4"])
def test_tiles_give_nearly_the_picture_of_a_single_pass(
    tool: Tool, upscalers: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tool(upscalers.parent / name)
    whole, other = enlarge(loaded, picture(96, 64))[0], enlarge(loaded, picture(96, 64), seed=8)[0]
    module = f"invoke.engine.postprocess.{'latent_upscaler' if name == 'x2' else 'super_resolution'}"
    monkeypatch.setattr(f"{module}.SIDE", 16)
    monkeypatch.setattr(f"{module}.OVERLAP", 4)
    tiled, _ = enlarge(loaded, picture(96, 64))
    assert tiled.shape == whole.shape
    assert 0 < distance(tiled, whole) < distance(other, whole) / 2


def test_a_decoder_that_overflows_in_half_precision_decodes_in_full(tool: Tool, upscalers: Path) -> None:
    latents = torch.randn(1, 4, 8, 8)
    vae = tool(upscalers.parent / "x2").vae  # type: ignore[attr-defined]
    with torch.no_grad():
        vae.decoder.conv_in.weight.mul_(1e5)
    assert not decode_latents(vae.half(), latents).isfinite().all()
    half = decode_large(vae, latents, "x2")
    assert vae.dtype == torch.float16
    assert half.equal(decode_large(vae.float(), latents, "x2"))
    with pytest.raises(EngineError, match="overflow in x2"):
        decode_large(vae.float(), latents * float("inf"), "x2")


def test_a_large_picture_is_decoded_in_tiles(tool: Tool, upscalers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: Any = tool(upscalers.parent / "x4")
    seen: list[int] = []
    decode = loaded.vae.decode
    monkeypatch.setattr(
        loaded.vae, "decode", lambda z, **options: (seen.append(max(z.shape[-2:])), decode(z, **options))[1]
    )
    monkeypatch.setattr("invoke.engine.components.tiles.PIXELS", 128)
    enlarge(loaded, picture(96, 64), steps=1)
    assert len(seen) > 1
    assert max(seen) == 32

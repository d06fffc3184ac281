"""ControlNets: the same pictures as diffusers' own pipelines, in every mode."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.request import Request
from tests import tiny
from tests.engine.making import make, scene
from tests.engine.stock import apart, holed, in_bytes, run, stock_pipeline
from tests.making import ARequest
from tests.tiny_control import controlnet, save_controlnet

# ruff: noqa: PLR0917 - filled in by pytest

pytestmark = pytest.mark.usefixtures("posterior_mode")


@pytest.mark.parametrize("sampler", ["ddim", "k_euler"])
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_text_to_image_matches_the_pipeline(
    sampler: str,
    guidance_scale: float,
    scale: float,
    engine: DiffusionEngine,
    a_request: ARequest,
    folder: Path,
    net: str,
    shown: Path,
) -> None:
    request = a_request(scheduler=sampler, guidance_scale=guidance_scale, controls=((net, str(shown), scale),))
    theirs = _stock("StableDiffusionControlNetPipeline", folder, [net], sampler)(
        "a fire", image=Image.open(shown), guidance_scale=guidance_scale, controlnet_conditioning_scale=scale, **_run()
    )
    assert np.array_equal(make(engine, request), in_bytes(theirs))


@pytest.mark.parametrize("strength", [0.5, 0.75])
def test_image_to_image_matches_the_pipeline(
    strength: float, engine: DiffusionEngine, a_request: ARequest, folder: Path, net: str, shown: Path, init: Path
) -> None:
    request = a_request(init_image=init, strength=strength, controls=((net, str(shown), 0.8),))
    theirs = _stock("StableDiffusionControlNetImg2ImgPipeline", folder, [net])(
        "a fire",
        image=Image.open(init),
        control_image=Image.open(shown),
        strength=strength,
        controlnet_conditioning_scale=0.8,
        **_run(),
    )
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("strength", [0.75, 0.999])
def test_inpainting_matches_the_pipeline(
    channels: int,
    strength: float,
    engine: DiffusionEngine,
    a_request: ARequest,
    model_of: Callable[[int], Path],
    net: str,
    shown: Path,
    tmp_path: Path,
) -> None:
    model = model_of(channels)
    stock = _stock("StableDiffusionControlNetInpaintPipeline", model, [net])
    request = a_request(model=model, strength=strength, mask_blur=0, controls=((net, str(shown), 1.0),))
    assert _painted_alike(engine, request, stock, shown, tmp_path) <= 1


def test_several_controlnets_match_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, nets: list[str], shown: Path, other: Path
) -> None:
    pictures, scales = [shown, other], [0.9, 0.4]
    request = a_request(controls=tuple(zip(nets, map(str, pictures), scales, strict=True)))
    theirs = _stock("StableDiffusionControlNetPipeline", folder, nets)(
        "a fire", image=[Image.open(path) for path in pictures], controlnet_conditioning_scale=scales, **_run()
    )
    assert np.array_equal(make(engine, request), in_bytes(theirs))


def test_a_globally_pooled_controlnet_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, shown: Path, tmp_path: Path
) -> None:
    """As in diffusers: such a ControlNet (`shuffle`) runs in guess mode."""
    network = controlnet(tiny.components()["unet"], global_pool_conditions=True)
    net = str(save_controlnet(tmp_path / "shuffle", network))
    theirs = _stock("StableDiffusionControlNetPipeline", folder, [net])("a fire", image=Image.open(shown), **_run())
    assert np.array_equal(make(engine, a_request(controls=((net, str(shown), 1.0),))), in_bytes(theirs))


def test_xl_text_to_image_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, xl_of: Callable[[int], Path], xl_net: str, shown: Path
) -> None:
    theirs = _stock("StableDiffusionXLControlNetPipeline", xl_of(4), [xl_net])(
        "a fire", image=Image.open(shown), guidance_scale=7.5, controlnet_conditioning_scale=1.0, **_run()
    )
    assert np.array_equal(
        make(engine, a_request(model=xl_of(4), controls=((xl_net, str(shown), 1.0),))), in_bytes(theirs)
    )


def test_xl_image_to_image_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, xl_of: Callable[[int], Path], xl_net: str, shown: Path, init: Path
) -> None:
    theirs = _stock("StableDiffusionXLControlNetImg2ImgPipeline", xl_of(4), [xl_net])(
        "a fire",
        image=Image.open(init),
        control_image=Image.open(shown),
        strength=0.75,
        guidance_scale=7.5,
        controlnet_conditioning_scale=1.0,
        **_run(),
    )
    request = a_request(model=xl_of(4), init_image=init, strength=0.75, controls=((xl_net, str(shown), 1.0),))
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


@pytest.mark.parametrize("channels", [4, 9])
def test_xl_inpainting_matches_the_pipeline(
    channels: int,
    engine: DiffusionEngine,
    a_request: ARequest,
    xl_of: Callable[[int], Path],
    xl_net: str,
    shown: Path,
    tmp_path: Path,
) -> None:
    stock = _stock("StableDiffusionXLControlNetInpaintPipeline", xl_of(channels), [xl_net])
    request = a_request(model=xl_of(channels), strength=0.75, mask_blur=0, controls=((xl_net, str(shown), 1.0),))
    assert _painted_alike(engine, request, stock, shown, tmp_path) <= 1


def test_a_unet_with_guidance_embedding_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path
) -> None:
    """A latent consistency model: its ControlNet is not arguments."""
    parts = tiny.components()
    torch.manual_seed(0)
    parts["unet"] = diffusers.UNet2DConditionModel.from_config({**parts["unet"].config, "time_cond_proj_dim": 16})
    folder = tiny.save_folder(tmp_path / "lcm", parts)
    theirs = _stock("StableDiffusionControlNetPipeline", folder, [net])("a fire", image=Image.open(shown), **_run())
    request = a_request(model=folder, controls=((net, str(shown), 1.0),))
    assert np.array_equal(make(engine, request), in_bytes(theirs))


def test_a_seamless_picture_uses_a_seamless_controlnet(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, net: str, shown: Path
) -> None:
    stock = _stock("StableDiffusionControlNetPipeline", folder, [net])
    for network in (stock.unet, stock.vae, stock.controlnet):
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.padding_mode = "circular"
    theirs = stock("a fire", image=Image.open(shown), **_run())
    request = a_request(seamless=True, controls=((net, str(shown), 1.0),))
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


def _stock(pipeline: str, folder: Path, nets: Sequence[str], sampler: str = "k_euler") -> Any:
    load: Any = ControlNetModel.from_pretrained
    networks = [load(net) for net in nets]
    loaded = stock_pipeline(pipeline, folder, controlnet=networks[0] if len(networks) == 1 else networks)
    kind = {"ddim": diffusers.DDIMScheduler, "k_euler": diffusers.EulerDiscreteScheduler}[sampler]
    loaded.scheduler = kind.from_config(loaded.scheduler.config)
    return loaded


def _run() -> dict[str, Any]:
    return {"width": 64, "height": 64} | run()


def _painted_alike(engine: DiffusionEngine, request: Request, stock: Any, shown: Path, tmp_path: Path) -> int:
    """The largest difference inside the hole, in levels; outside, ours is the original."""
    path, repaint_mask, arguments = holed(tmp_path)
    theirs = stock(
        "a fire",
        **arguments,
        control_image=Image.open(shown),
        controlnet_conditioning_scale=1.0,
        guidance_scale=7.5,
        strength=request.strength,
        **_run(),
    )
    ours = make(engine, replace(request, init_image=str(path)))
    assert np.array_equal(ours[~repaint_mask], scene()[~repaint_mask])
    return apart(ours[repaint_mask], in_bytes(theirs)[repaint_mask])

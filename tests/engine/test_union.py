"""ControlNet unions and depth detection, compared with diffusers' and transformers' pipelines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import transformers
from diffusers import ControlNetUnionModel
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError
from invoke.models import ModelSpec, Registry
from tests.engine.making import events, loaded, make, pixels
from tests.engine.stock import apart, in_bytes, run, stock_pipeline
from tests.making import ARequest
from tests.tiny_control import WIDTHS
from tests.tiny_depth import save_depth
from tests.tiny_xl import xl_components

# ruff: noqa: PLR0917 - filled in by pytest

MODES = {"scribble": 2, "canny": 3, "depth": 1}


@pytest.fixture(scope="module")
def union(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = xl_components()["unet"]
        like: Any = ControlNetUnionModel.from_unet(unet, conditioning_embedding_out_channels=WIDTHS)
        config = {key: value for key, value in like.config.items() if key[0] != "_"}
        config |= {"num_trans_channel": 16, "num_trans_head": 2, "num_proj_channel": 16}
        network: Any = ControlNetUnionModel.from_config(config)
        for layer in (*network.controlnet_down_blocks, network.controlnet_mid_block):
            torch.nn.init.normal_(layer.weight, std=0.2)
        torch.nn.init.normal_(network.controlnet_cond_embedding.conv_out.weight, std=0.2)
        torch.nn.init.normal_(network.spatial_ch_projs.weight, std=0.2)
    folder = tmp_path_factory.mktemp("control") / "union"
    network.eval().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def models(union: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    depth = save_depth(tmp_path_factory.mktemp("depth") / "dpt")
    specs = [
        ModelSpec(name=f"union-{mode}", weights=str(union), kind="controlnet", family="sdxl", mode=mode)
        for mode in MODES
    ]
    specs.append(ModelSpec(name="tiny-depth", weights=str(depth), kind="detector", family="auto"))
    return Registry({spec.name: spec for spec in specs})


@pytest.fixture(scope="module")
def own_engine(models: Registry) -> DiffusionEngine:
    return DiffusionEngine(models)


@pytest.mark.parametrize("mode", ["scribble", "canny"])
def test_the_name_of_a_union_selects_its_mode(
    mode: str,
    own_engine: DiffusionEngine,
    a_request: ARequest,
    xl_of: Callable[[int], Path],
    union: Path,
    shown: Path,
) -> None:
    load: Any = ControlNetUnionModel.from_pretrained
    stock = stock_pipeline("StableDiffusionXLControlNetUnionPipeline", xl_of(4), controlnet=load(union))
    stock.scheduler = diffusers.EulerDiscreteScheduler.from_config(stock.scheduler.config)
    theirs = stock(
        "a fire",
        control_image=[Image.open(shown)],
        control_mode=[MODES[mode]],
        controlnet_conditioning_scale=0.7,
        width=64,
        height=64,
        guidance_scale=7.5,
        **run(),
    )
    ours = make(own_engine, a_request(model=xl_of(4), controls=((f"union-{mode}", str(shown), 0.7),)))
    assert apart(ours, in_bytes(theirs)) <= 1


def test_names_of_one_union_share_a_network(
    own_engine: DiffusionEngine, a_request: ARequest, xl_of: Callable[[int], Path], shown: Path
) -> None:
    controls = tuple((f"union-{mode}", str(shown), 0.5) for mode in ("canny", "scribble"))
    own_engine.close()
    happened = events(own_engine, a_request(model=xl_of(4), controls=controls))
    assert [name for name in loaded(happened) if name.startswith("union")] == ["union-canny"]
    one = make(own_engine, a_request(model=xl_of(4), controls=controls[:1]))
    assert not np.array_equal(pixels(happened), one)


def test_a_union_without_a_known_mode_is_refused(
    engine: DiffusionEngine, a_request: ARequest, xl_of: Callable[[int], Path], union: Path, shown: Path
) -> None:
    with pytest.raises(ModelError, match=r"--control: .*union follows several kinds of pictures"):
        events(engine, a_request(model=xl_of(4), controls=((str(union), str(shown), 1.0),)))


def test_depth_detection_matches_transformers(
    own_engine: DiffusionEngine,
    a_request: ARequest,
    xl_of: Callable[[int], Path],
    models: Registry,
    init: Path,
    tmp_path: Path,
) -> None:
    weights = models.find("tiny-depth", "detector").weights
    network = transformers.AutoModelForDepthEstimation.from_pretrained(weights)
    images = transformers.AutoImageProcessor.from_pretrained(weights)
    estimate = transformers.pipeline("depth-estimation", model=network, image_processor=images)
    estimate(Image.open(init))["depth"].convert("RGB").save(tmp_path / "depth.png")
    told = {"model": xl_of(4), "init_image": init, "strength": 0.75}
    found = make(own_engine, a_request(**told, controls=(("union-depth", "auto:depth", 1.0),)))
    named = make(own_engine, a_request(**told, controls=(("union-depth", str(tmp_path / "depth.png"), 1.0),)))
    assert np.array_equal(found, named)

"""Switches that diffusers' pipelines have as an argument: the same pictures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import RequestError
from tests import tiny
from tests.engine.making import make, scene
from tests.engine.stock import apart, encoded, holed, in_bytes, run, stock_pipeline
from tests.making import ARequest
from tests.tiny_xl import xl_components, xl_index


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion 1 whose text encoder has four layers."""
    parts = tiny.components() | {"text_encoder": _encoder(CLIPTextModel)}
    return tiny.save_folder(tmp_path_factory.mktemp("deep") / "sd", parts)


@pytest.fixture(scope="module")
def deep_xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny XL whose text encoders have four layers each."""
    texts = {
        "text_encoder": _encoder(CLIPTextModel),
        "text_encoder_2": _encoder(CLIPTextModelWithProjection, projection_dim=32),
    }
    return tiny.save_folder(tmp_path_factory.mktemp("deep") / "xl", xl_components() | texts, xl_index())


@pytest.mark.parametrize("skip", [0, 1, 2])
@pytest.mark.parametrize("negative", ["", "a cat"])
def test_clip_skip_matches_the_pipeline(
    skip: int, negative: str, engine: DiffusionEngine, a_request: ARequest, deep: Path
) -> None:
    stock = _stock("StableDiffusionPipeline", deep)
    # its own transformers calls the text model by itself, the pipeline looks for it one floor below
    object.__setattr__(stock.text_encoder, "text_model", stock.text_encoder)
    theirs = in_bytes(stock("a fire", negative_prompt=negative, width=64, height=64, clip_skip=skip, **run()))
    ours = make(engine, a_request(model=deep, clip_skip=skip, negative_prompt=negative))
    assert apart(ours, theirs) <= 1
    assert skip == 0 or apart(ours, make(engine, a_request(model=deep, negative_prompt=negative))) > 1


@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("negative", ["", "a cat"])
def test_clip_skip_of_xl_matches_the_pipeline(
    skip: int, negative: str, engine: DiffusionEngine, a_request: ARequest, deep_xl: Path
) -> None:
    stock = _stock("StableDiffusionXLPipeline", deep_xl, add_watermarker=False)
    theirs = stock("a fire", negative_prompt=negative or None, width=64, height=64, clip_skip=skip, **run())
    ours = make(engine, a_request(model=deep_xl, clip_skip=skip, negative_prompt=negative, guidance_scale=5.0))
    assert apart(ours, in_bytes(theirs)) <= 1


def test_clip_skip_beyond_the_text_encoder_is_refused(engine: DiffusionEngine, a_request: ARequest, deep: Path) -> None:
    with pytest.raises(RequestError, match="can skip at most 3 layers"):
        make(engine, a_request(model=deep, clip_skip=4))


@pytest.mark.parametrize("rescale", [0.3, 1.0])
def test_cfg_rescale_matches_the_pipeline(
    rescale: float, engine: DiffusionEngine, a_request: ARequest, folder: Path
) -> None:
    stock = _stock("StableDiffusionPipeline", folder)
    theirs = stock("a fire", guidance_rescale=rescale, guidance_scale=12.0, width=64, height=64, **run())
    ours = make(engine, a_request(guidance_rescale=rescale, guidance_scale=12.0))
    assert apart(ours, in_bytes(theirs)) <= 1


def test_cfg_rescale_overrides_that_of_the_model(a_request: ARequest, folder: Path) -> None:
    engine = DiffusionEngine(_registry(folder, cfg_rescale=0.7))
    own, none, same = (make(engine, a_request(model="one", guidance_rescale=value)) for value in (None, 0.0, 0.7))
    assert np.array_equal(own, same)
    assert np.array_equal(none, make(engine, a_request()))
    assert not np.array_equal(own, none)


@pytest.mark.parametrize("window", [(0.0, 0.6), (0.3, 1.0), (0.2, 0.8)])
@pytest.mark.parametrize("sampler", ["k_euler", "k_heun"])
def test_start_and_end_of_control_match_the_pipeline(  # noqa: PLR0917 - filled in by pytest
    window: tuple[float, float],
    sampler: str,
    engine: DiffusionEngine,
    a_request: ARequest,
    folder: Path,
    net: str,
    shown: Path,
) -> None:
    controlnet = diffusers.ControlNetModel.from_pretrained(net)
    stock = stock_pipeline("StableDiffusionControlNetPipeline", folder, safety_checker=None, controlnet=controlnet)
    kind = {"k_euler": diffusers.EulerDiscreteScheduler, "k_heun": diffusers.HeunDiscreteScheduler}[sampler]
    stock.scheduler = kind.from_config(stock.scheduler.config)
    output = dict(zip(("control_guidance_start", "control_guidance_end"), window, strict=True))
    theirs = stock("a fire", image=Image.open(shown), controlnet_conditioning_scale=0.8, **output, **run(5))
    ours = make(engine, a_request(scheduler=sampler, steps=5, controls=((net, str(shown), 0.8, window),)))
    assert apart(ours, in_bytes(theirs)) <= 1
    assert apart(ours, make(engine, a_request(scheduler=sampler, steps=5, controls=((net, str(shown), 0.8),)))) > 1


def test_two_consecutive_controls_match_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, nets: list[str], shown: Path
) -> None:
    def drawn(*controls: tuple[object, ...]) -> np.ndarray:
        return make(engine, a_request(controls=controls))

    first, second = ((net, str(shown), 1.0) for net in nets)
    both = drawn((*first, (0.0, 0.5)), (*second, (0.5, 1.0)))
    assert not np.array_equal(both, drawn((*first, (0.0, 0.5))))
    assert not np.array_equal(both, drawn((*second, (0.5, 1.0))))
    assert np.array_equal(drawn((*first, (0.9, 0.95))), make(engine, a_request()))


def test_freeu_matches_the_pipeline(engine: DiffusionEngine, a_request: ARequest, folder: Path) -> None:
    stock = _stock("StableDiffusionPipeline", folder)
    stock.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    theirs = in_bytes(stock("a fire", width=64, height=64, **run()))
    before, ours, after = (make(engine, a_request(freeu=on)) for on in (False, True, False))
    assert apart(ours, theirs) <= 1
    assert np.array_equal(before, after)
    assert apart(ours, before) > 1
    batched = make(engine, a_request(freeu=True, batch_size=2))
    assert np.array_equal(batched, ours)


@pytest.mark.parametrize(
    ("guidance", "rescale"), [(7.5, 0.0), (1.0, 0.0), (7.5, 0.7)], ids=["guided", "not guided", "rescaled"]
)
def test_perturbed_attention_matches_the_pipeline(
    guidance: float, rescale: float, engine: DiffusionEngine, a_request: ARequest, folder: Path
) -> None:
    stock = _stock("StableDiffusionPAGPipeline", folder)
    scales = {"guidance_scale": guidance, "guidance_rescale": rescale}
    theirs = in_bytes(stock("a fire", width=64, height=64, pag_scale=3.0, **scales, **run()))
    scaled = a_request(pag_scale=3.0, guidance_scale=guidance, guidance_rescale=rescale)
    before, ours, after = (make(engine, each) for each in (a_request(), scaled, a_request()))
    assert apart(ours, theirs) <= 1
    assert np.array_equal(before, after)
    assert apart(ours, make(engine, replace(scaled, pag_scale=0.0))) > 1
    assert np.array_equal(ours, make(engine, replace(scaled, batch_size=2)))


def test_perturbed_attention_of_xl_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, deep_xl: Path
) -> None:
    stock = _stock("StableDiffusionXLPAGPipeline", deep_xl, add_watermarker=False)
    theirs = stock("a fire", negative_prompt="a cat", width=64, height=64, pag_scale=3.0, guidance_scale=5.0, **run())
    ours = make(engine, a_request(model=deep_xl, negative_prompt="a cat", guidance_scale=5.0, pag_scale=3.0))
    assert apart(ours, in_bytes(theirs)) <= 1


def test_perturbed_attention_with_a_control_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, net: str, shown: Path
) -> None:
    controlnet = diffusers.ControlNetModel.from_pretrained(net)
    stock = _stock("StableDiffusionControlNetPAGPipeline", folder, controlnet=controlnet)
    theirs = stock("a fire", image=Image.open(shown), pag_scale=2.0, controlnet_conditioning_scale=0.8, **run())
    ours = make(engine, a_request(controls=((net, str(shown), 0.8),), pag_scale=2.0))
    assert apart(ours, in_bytes(theirs)) <= 1


@pytest.mark.usefixtures("posterior_mode")
@pytest.mark.parametrize(
    ("family", "channels", "strength"), [("", 4, 0.6), ("", 9, 1.0), ("XL", 4, 1.0), ("XL", 9, 0.6)]
)
def test_perturbed_attention_in_a_hole_matches_the_pipeline(  # noqa: PLR0917 - filled in by pytest
    family: str,
    channels: int,
    strength: float,
    engine: DiffusionEngine,
    a_request: ARequest,
    model_of: Callable[[int], Path],
    xl_of: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    """At strength 1 the pipelines encode what lies under the hole; ours fills it in, so that they are given that.

    The one for Stable Diffusion fails with `guidance_rescale`.
    """
    model = (xl_of if family else model_of)(channels)
    path, hole, arguments = holed(tmp_path)
    scales = {"pag_scale": 3.0, "guidance_scale": 5.0, "guidance_rescale": 0.7 if family else 0.0}
    request = a_request(model=model, init_image=path, strength=strength, mask_blur=0, **scales)
    shown = arguments | ({"image": encoded(request)} if strength == 1 else {})
    more: dict[str, Any] = {"add_watermarker": False} if family else {}
    stock = _stock(f"StableDiffusion{family}PAGInpaintPipeline", model, **more)
    theirs = in_bytes(stock("a fire", width=64, height=64, strength=strength, **scales, **shown, **run()))
    ours = make(engine, request)
    assert apart(ours[hole], theirs[hole]) <= 1
    assert np.array_equal(ours[~hole], scene()[~hole])
    assert apart(ours, make(engine, replace(request, pag_scale=0.0))) > 1


@pytest.mark.usefixtures("posterior_mode")
def test_perturbed_attention_in_a_hole_with_a_control_matches_the_pipeline(  # noqa: PLR0917
    engine: DiffusionEngine, a_request: ARequest, folder: Path, net: str, shown: Path, tmp_path: Path
) -> None:
    path, hole, arguments = holed(tmp_path)
    controlnet = diffusers.ControlNetModel.from_pretrained(net)
    stock = _stock("StableDiffusionControlNetPAGInpaintPipeline", folder, controlnet=controlnet)
    control = {"control_image": Image.open(shown), "controlnet_conditioning_scale": 0.8}
    theirs = in_bytes(stock("a fire", pag_scale=2.0, strength=0.6, **control, **arguments, **run()))
    control = {"controls": ((net, str(shown), 0.8),)}
    ours = make(engine, a_request(init_image=path, strength=0.6, mask_blur=0, pag_scale=2.0, **control))
    assert apart(ours[hole], theirs[hole]) <= 1


def _registry(folder: Path, **fields: Any) -> Any:
    from invoke.models import ModelSpec, Registry

    return Registry({"one": ModelSpec(name="one", weights=str(folder), stated=frozenset(fields), **fields)})


def _encoder(kind: Any, **more: Any) -> torch.nn.Module:
    config: CLIPTextConfig = tiny.text_config(**more)
    config.num_hidden_layers = 4
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made: torch.nn.Module = kind(config).eval()
    return made


def _stock(pipeline: str, folder: Path, **parts: Any) -> Any:
    """The pipeline, which takes Euler's steps as `a_request` does."""
    stock = stock_pipeline(pipeline, folder, **({"safety_checker": None} if "XL" not in pipeline else {}), **parts)
    stock.scheduler = diffusers.EulerDiscreteScheduler.from_config(stock.scheduler.config)
    return stock

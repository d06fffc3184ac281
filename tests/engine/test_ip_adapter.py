"""IP-Adapters: the same pictures as diffusers' own pipelines, in every mode and kind."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError
from invoke.events import NO_PREVIEWS, Finished
from tests import tiny
from tests.engine.making import events, finished, loaded, make, scene
from tests.engine.stock import apart, holed, in_bytes, run, stock_pipeline
from tests.making import ARequest
from tests.tiny_ip_adapter import IPKind, image_encoder, save_ip_adapter
from tests.tiny_xl import xl_components

# ruff: noqa: PLR0917 - filled in by pytest

pytestmark = pytest.mark.usefixtures("posterior_mode")
KINDS: tuple[IPKind, ...] = ("plain", "plus", "full")


@pytest.fixture(scope="module")
def ip_adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind → file, for the tiny Stable Diffusion 1, and `xl`; the image encoder lies beside them."""
    place = tmp_path_factory.mktemp("ip")
    image_encoder().save_pretrained(place / "image_encoder")
    unet = tiny.components()["unet"]
    found = {kind: save_ip_adapter(place / f"{kind}.safetensors", unet, kind) for kind in KINDS}
    return found | {"xl": save_ip_adapter(place / "xl.safetensors", xl_components()["unet"], "plus")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_text_to_image_matches_the_pipeline(
    kind: str,
    guidance_scale: float,
    scale: float,
    engine: DiffusionEngine,
    a_request: ARequest,
    folder: Path,
    ip_adapters: dict[str, Path],
    other: Path,
) -> None:
    output = ((str(ip_adapters[kind]), str(other), scale),)
    ours = make(engine, a_request(guidance_scale=guidance_scale, ip_adapters=output))
    stock = _stock("StableDiffusionPipeline", folder, [ip_adapters[kind]], [scale])
    theirs = stock("a fire", ip_adapter_image=Image.open(other), guidance_scale=guidance_scale, **_run())
    assert apart(ours, in_bytes(theirs)) <= 1
    assert apart(ours, make(engine, a_request(guidance_scale=guidance_scale))) > 3
    assert np.array_equal(ours, make(engine, a_request(guidance_scale=guidance_scale, ip_adapters=output)))


def test_several_ip_adapters_match_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, ip_adapters: dict[str, Path], other: Path, shown: Path
) -> None:
    files, pictures, scales = [ip_adapters["plain"], ip_adapters["plus"]], [other, shown], [0.9, 0.5]
    output = tuple(zip(map(str, files), map(str, pictures), scales, strict=True))
    stock = _stock("StableDiffusionPipeline", folder, files, scales)
    theirs = stock("a fire", ip_adapter_image=[Image.open(path) for path in pictures], **_run())
    assert apart(make(engine, a_request(ip_adapters=output)), in_bytes(theirs)) <= 1


def test_with_perturbed_attention_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, ip_adapters: dict[str, Path], other: Path
) -> None:
    stock = _stock("StableDiffusionPAGPipeline", folder, [ip_adapters["plus"]], [0.7])
    theirs = stock("a fire", ip_adapter_image=Image.open(other), pag_scale=3.0, **_run())
    ours = make(engine, a_request(ip_adapters=((str(ip_adapters["plus"]), str(other), 0.7),), pag_scale=3.0))
    assert apart(ours, in_bytes(theirs)) <= 1


def test_with_perturbed_attention_in_a_hole_matches_the_pipeline(
    engine: DiffusionEngine,
    a_request: ARequest,
    folder: Path,
    ip_adapters: dict[str, Path],
    other: Path,
    tmp_path: Path,
) -> None:
    path, hole, arguments = holed(tmp_path)
    stock = _stock("StableDiffusionPAGInpaintPipeline", folder, [ip_adapters["plus"]], [0.7])
    shown = {"ip_adapter_image": Image.open(other), "strength": 0.6, **arguments}
    theirs = in_bytes(stock("a fire", pag_scale=3.0, **shown, **_run()))
    beside = {"ip_adapters": ((str(ip_adapters["plus"]), str(other), 0.7),), "pag_scale": 3.0}
    ours = make(engine, a_request(init_image=path, strength=0.6, mask_blur=0, **beside))
    assert apart(ours[hole], theirs[hole]) <= 1


def test_with_init_picture_and_controlnet_matches_the_pipeline(
    engine: DiffusionEngine,
    a_request: ARequest,
    folder: Path,
    ip_adapters: dict[str, Path],
    net: str,
    init: Path,
    other: Path,
    shown: Path,
) -> None:
    request = a_request(
        init_image=init,
        strength=0.75,
        controls=((net, str(shown), 0.8),),
        ip_adapters=((str(ip_adapters["plus"]), str(other), 0.7),),
    )
    load: Any = diffusers.ControlNetModel.from_pretrained
    stock = _stock(
        "StableDiffusionControlNetImg2ImgPipeline", folder, [ip_adapters["plus"]], [0.7], controlnet=load(net)
    )
    theirs = stock(
        "a fire",
        image=Image.open(init),
        control_image=Image.open(shown),
        ip_adapter_image=Image.open(other),
        strength=0.75,
        controlnet_conditioning_scale=0.8,
        **_run(),
    )
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


@pytest.mark.parametrize("channels", [4, 9])
def test_inpainting_matches_the_pipeline(
    channels: int,
    engine: DiffusionEngine,
    a_request: ARequest,
    model_of: Callable[[int], Path],
    ip_adapters: dict[str, Path],
    other: Path,
    tmp_path: Path,
) -> None:
    model = model_of(channels)
    path, repaint_mask, arguments = holed(tmp_path)
    stock = _stock("StableDiffusionInpaintPipeline", model, [ip_adapters["plain"]], [0.8])
    theirs = in_bytes(stock("a fire", **arguments, ip_adapter_image=Image.open(other), strength=0.75, **_run()))
    ours = make(
        engine,
        a_request(
            model=model,
            init_image=path,
            strength=0.75,
            mask_blur=0,
            ip_adapters=((str(ip_adapters["plain"]), str(other), 0.8),),
        ),
    )
    assert apart(ours[repaint_mask], theirs[repaint_mask]) <= 1
    assert np.array_equal(ours[~repaint_mask], scene()[~repaint_mask])


def test_xl_matches_the_pipeline(
    engine: DiffusionEngine,
    a_request: ARequest,
    xl_of: Callable[[int], Path],
    ip_adapters: dict[str, Path],
    other: Path,
) -> None:
    stock = _stock("StableDiffusionXLPipeline", xl_of(4), [ip_adapters["xl"]], [0.6])
    theirs = stock("a fire", ip_adapter_image=Image.open(other), guidance_scale=7.5, **_run())
    request = a_request(model=xl_of(4), ip_adapters=((str(ip_adapters["xl"]), str(other), 0.6),))
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


def test_pictures_drawn_at_once_equal_those_drawn_alone(
    engine: DiffusionEngine, a_request: ARequest, ip_adapters: dict[str, Path], other: Path, shown: Path
) -> None:
    def some(picture: Path) -> Any:
        output = ((str(ip_adapters["plus"]), str(picture), 0.7),)
        return a_request(ip_adapters=output, batch_size=2)

    plain = a_request(batch_size=2)
    requests = [some(other), plain, some(shown)]
    alone = [finished(events(engine, request)).image for request in requests]
    together = {
        index: event.image
        for index, event in engine.generate_batch([(request, NO_PREVIEWS) for request in requests])
        if isinstance(event, Finished)
    }
    assert [together[index] for index in range(3)] == alone


def test_transparent_parts_become_white_and_all_inputs_are_recorded(
    engine: DiffusionEngine, a_request: ARequest, ip_adapters: dict[str, Path], tmp_path: Path
) -> None:
    hidden = np.dstack([scene(), np.zeros((64, 64), np.uint8)])
    Image.fromarray(hidden).save(tmp_path / "hidden.png")
    Image.new("RGB", (64, 64), "white").save(tmp_path / "white.png")
    output = [
        events(engine, a_request(ip_adapters=((str(ip_adapters["plain"]), str(tmp_path / name), 1.0),)))
        for name in ("hidden.png", "white.png")
    ]
    assert finished(output[0]).image == finished(output[1]).image
    facts = finished(output[1]).facts
    adapter = str(ip_adapters["plain"])
    assert {f"IP-Adapter {adapter}", f"image encoder of {adapter}", "IP-Adapter picture"} < set(facts.hashes)


def test_an_ip_adapter_for_another_model_is_refused_before_drawing(
    engine: DiffusionEngine, a_request: ARequest, ip_adapters: dict[str, Path], other: Path
) -> None:
    request = a_request(ip_adapters=((str(ip_adapters["xl"]), str(other), 0.6),))
    with pytest.raises(ModelError, match=r"--ip_adapter: .*xl.safetensors does not fit .*tiny: it is made for another"):
        events(engine, request)


def test_an_image_encoder_with_another_width_is_refused(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, other: Path, tmp_path: Path
) -> None:
    from transformers import CLIPVisionModelWithProjection

    wrong = image_encoder()
    config = type(wrong.config).from_dict(wrong.config.to_dict() | {"projection_dim": 8})
    CLIPVisionModelWithProjection(config).save_pretrained(tmp_path / "image_encoder")
    path = save_ip_adapter(tmp_path / "ip.safetensors", tiny.components()["unet"], "plain")
    with pytest.raises(ModelError, match="needs an image encoder with embeddings of width 24, not 8"):
        events(engine, a_request(ip_adapters=((str(path), str(other), 0.6),)))


def test_ip_adapters_share_an_image_encoder(
    a_request: ARequest, ip_adapters: dict[str, Path], other: Path, engine: DiffusionEngine
) -> None:
    engine.close()
    output = ((str(ip_adapters["plain"]), str(other), 1.0), (str(ip_adapters["plus"]), str(other), 1.0))
    names = loaded(events(engine, a_request(ip_adapters=output)))
    assert [Path(name).name for name in names] == ["tiny", "plain.safetensors", "image_encoder", "plus.safetensors"]


def _stock(pipeline: str, folder: Path, files: Sequence[Path], scales: Sequence[float], **parts: Any) -> Any:
    loaded_one = stock_pipeline(pipeline, folder, image_encoder=image_encoder(), **parts)
    loaded_one.load_ip_adapter(
        str(files[0].parent), subfolder="", weight_name=[file.name for file in files], image_encoder_folder=None
    )
    loaded_one.set_ip_adapter_scale(list(scales))
    loaded_one.scheduler = diffusers.EulerDiscreteScheduler.from_config(loaded_one.scheduler.config)
    return loaded_one


def _run() -> dict[str, Any]:
    return {"width": 64, "height": 64} | run()

"""ControlNets: the same pictures as diffusers' own pipelines in every mode, and what else is promised of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from shutil import copytree
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image

from invoke.engine.diffusion import DiffusionEngine
from invoke.engine.edges import canny
from invoke.engine.options import EngineOptions
from invoke.errors import ModelError, PictureError, RequestError
from invoke.events import Detected, EngineEvent, Loading, Previews, Step
from invoke.models import ModelSpec, Registry
from invoke.pictures import prepare
from invoke.request import Request
from tests import tiny
from tests.engine.making import Array, disc, events, finished, make, pixels, save, scene, with_alpha
from tests.tiny_control import controlnet, save_controlnet, save_file_of
from tests.tiny_xl import xl_components, xl_index

# ruff: noqa: PLR0917 - filled in by pytest
ARequest = Callable[..., Request]


@pytest.fixture(autouse=True)
def _mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two ControlNets for the tiny Stable Diffusion 1."""
    unet, place = tiny.components()["unet"], tmp_path_factory.mktemp("control")
    return [str(save_controlnet(place / f"net{seed}", controlnet(unet, seed=seed))) for seed in (0, 1)]


@pytest.fixture(scope="module")
def net(nets: list[str]) -> str:
    return nets[0]


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The tiny Stable Diffusion XL whose UNet has so many channels."""
    place = tmp_path_factory.mktemp("xl")
    made = {each: tiny.save_folder(place / str(each), xl_components(channels=each), xl_index()) for each in (4, 9)}
    return made.__getitem__


@pytest.fixture(scope="module")
def xl_net(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_controlnet(tmp_path_factory.mktemp("control") / "xl", controlnet(xl_components()["unet"])))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control picture: a white disc."""
    return save(tmp_path_factory.mktemp("pictures") / "disc.png", np.dstack([disc().astype(np.uint8) * 255] * 3))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("pictures") / "stripes.png", scene())


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("pictures") / "init.png", scene())


# the same as diffusers


@pytest.mark.parametrize("sampler", ["ddim", "k_euler"])
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_text_to_image(
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
    assert np.array_equal(make(engine, request), _bytes(theirs))


@pytest.mark.parametrize("strength", [0.5, 0.75])
def test_image_to_image(
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
    assert _apart(make(engine, request), _bytes(theirs)) <= 1


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("strength", [0.75, 0.999])
def test_inpainting(
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


def test_several_at_once(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, nets: list[str], shown: Path, other: Path
) -> None:
    pictures, scales = [shown, other], [0.9, 0.4]
    request = a_request(controls=tuple(zip(nets, map(str, pictures), scales, strict=True)))
    theirs = _stock("StableDiffusionControlNetPipeline", folder, nets)(
        "a fire", image=[Image.open(path) for path in pictures], controlnet_conditioning_scale=scales, **_run()
    )
    assert np.array_equal(make(engine, request), _bytes(theirs))


def test_one_that_pools_what_it_sees_leaves_the_negative_prompt_alone(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, shown: Path, tmp_path: Path
) -> None:
    """As diffusers has it: such a one (`shuffle`) is asked in guess mode."""
    network = controlnet(tiny.components()["unet"], global_pool_conditions=True)
    net = str(save_controlnet(tmp_path / "shuffle", network))
    theirs = _stock("StableDiffusionControlNetPipeline", folder, [net])("a fire", image=Image.open(shown), **_run())
    assert np.array_equal(make(engine, a_request(controls=((net, str(shown), 1.0),))), _bytes(theirs))


def test_xl_text_to_image(
    engine: DiffusionEngine, a_request: ARequest, xl: Callable[[int], Path], xl_net: str, shown: Path
) -> None:
    theirs = _stock("StableDiffusionXLControlNetPipeline", xl(4), [xl_net])(
        "a fire", image=Image.open(shown), guidance_scale=7.5, controlnet_conditioning_scale=1.0, **_run()
    )
    assert np.array_equal(make(engine, a_request(model=xl(4), controls=((xl_net, str(shown), 1.0),))), _bytes(theirs))


def test_xl_image_to_image(
    engine: DiffusionEngine, a_request: ARequest, xl: Callable[[int], Path], xl_net: str, shown: Path, init: Path
) -> None:
    theirs = _stock("StableDiffusionXLControlNetImg2ImgPipeline", xl(4), [xl_net])(
        "a fire",
        image=Image.open(init),
        control_image=Image.open(shown),
        strength=0.75,
        guidance_scale=7.5,
        controlnet_conditioning_scale=1.0,
        **_run(),
    )
    request = a_request(model=xl(4), init_image=init, strength=0.75, controls=((xl_net, str(shown), 1.0),))
    assert _apart(make(engine, request), _bytes(theirs)) <= 1


@pytest.mark.parametrize("channels", [4, 9])
def test_xl_inpainting(
    channels: int,
    engine: DiffusionEngine,
    a_request: ARequest,
    xl: Callable[[int], Path],
    xl_net: str,
    shown: Path,
    tmp_path: Path,
) -> None:
    stock = _stock("StableDiffusionXLControlNetInpaintPipeline", xl(channels), [xl_net])
    request = a_request(model=xl(channels), strength=0.75, mask_blur=0, controls=((xl_net, str(shown), 1.0),))
    assert _painted_alike(engine, request, stock, shown, tmp_path) <= 1


def test_a_unet_that_is_told_the_guidance_scale(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path
) -> None:
    """A latent consistency model: its ControlNet is not told."""
    parts = tiny.components()
    torch.manual_seed(0)
    parts["unet"] = diffusers.UNet2DConditionModel.from_config({**parts["unet"].config, "time_cond_proj_dim": 16})
    folder = tiny.save_folder(tmp_path / "lcm", parts)
    theirs = _stock("StableDiffusionControlNetPipeline", folder, [net])("a fire", image=Image.open(shown), **_run())
    request = a_request(model=folder, controls=((net, str(shown), 1.0),))
    assert np.array_equal(make(engine, request), _bytes(theirs))


# what is followed


def test_a_scale_of_0_is_none(engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path) -> None:
    plain = make(engine, a_request())
    assert np.array_equal(make(engine, a_request(controls=((net, str(shown), 0.0),))), plain)
    assert not np.array_equal(make(engine, a_request(controls=((net, str(shown), 0.1),))), plain)


def test_a_control_picture_is_scaled_to_cover_and_cut_in_the_middle(
    engine: DiffusionEngine, a_request: ARequest, net: str, tmp_path: Path
) -> None:
    large = save(tmp_path / "large.png", scene(150, 120))
    fitted = save(tmp_path / "fitted.png", np.asarray(prepare(Image.open(large), 64, 64)))
    both = [make(engine, a_request(controls=((net, str(path), 1.0),))) for path in (large, fitted)]
    assert np.array_equal(*both)


def test_what_is_transparent_is_nothing_to_follow(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path
) -> None:
    """White lines on nothing are white lines on black."""
    lines = with_alpha(tmp_path / "lines.png", np.full((64, 64, 3), 255, np.uint8), np.where(disc(), 255, 0))
    both = [make(engine, a_request(controls=((net, str(path), 1.0),))) for path in (lines, shown)]
    assert np.array_equal(*both)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_auto_canny_is_the_edges_of_the_init_picture(
    strength: float, engine: DiffusionEngine, a_request: ARequest, net: str, tmp_path: Path
) -> None:
    drawn = np.where(disc(90, 90, 30)[..., None], np.uint8([250, 90, 10]), np.uint8([10, 40, 90]))
    path = save(tmp_path / "drawn.png", drawn)
    edges = canny(np.asarray(prepare(Image.open(path), 64, 64)))
    named = save(tmp_path / "edges.png", np.dstack([edges] * 3))
    request = a_request(init_image=path, strength=strength, controls=((net, "auto:canny", 1.0),))
    told = list(engine.generate(request, previews=Previews(1)))
    assert np.array_equal(
        pixels(told), make(engine, a_request(init_image=path, strength=strength, controls=((net, str(named), 1.0),)))
    )
    detected = next(event for event in told if isinstance(event, Detected))
    assert (detected.number, detected.image.data) == (1, np.dstack([edges] * 3).tobytes())
    assert not any(isinstance(event, Detected) for event in events(engine, request)), "only where steps are shown"


def test_auto_canny_does_not_see_the_rim_of_erased_colours(
    engine: DiffusionEngine, a_request: ARequest, net: str, tmp_path: Path
) -> None:
    picture = np.full((64, 64, 3), 200, np.uint8)
    picture[disc()] = 0
    path = with_alpha(tmp_path / "a.png", picture, np.where(disc(), 0, 255))
    request = a_request(init_image=path, controls=((net, "auto:canny", 1.0),))
    detected = next(e for e in engine.generate(request, previews=Previews(1)) if isinstance(e, Detected))
    assert not any(detected.image.data)


def test_a_grown_canvas_is_followed_whole(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, init: Path
) -> None:
    for image in ("auto:canny", str(shown)):
        request = a_request(init_image=init, outcrop=("right", 32), controls=((net, image, 1.0),))
        made = make(engine, request)
        assert made.shape == (64, 96, 3)
        assert np.array_equal(made[:, :64], scene())


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_both_passes_of_hires_fix_follow(
    strength: float, engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path
) -> None:
    """At strength 0 only the small picture is drawn; what the second pass adds is guided as well."""

    def drawn(scale: float) -> Array:
        return make(
            engine,
            a_request(width=128, height=128, hires_fix=True, strength=strength, controls=((net, str(shown), scale),)),
        )

    assert drawn(1.0).shape == (128, 128, 3)
    assert not np.array_equal(drawn(1.0), drawn(0.0))


def test_swapped_words_are_drawn_under_control(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path
) -> None:
    control = {"controls": ((net, str(shown), 1.0),)}
    plain, swapped = (make(engine, a_request(prompt=each, **control)) for each in ("a cat", "a cat.swap(fire)"))
    assert not np.array_equal(plain, swapped)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_follows_as_well(
    precision: Any, engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path
) -> None:
    half = DiffusionEngine(Registry({}), EngineOptions(device="cpu", precision=precision))
    request = a_request(controls=((net, str(shown), 1.0),))
    assert abs(make(half, request).astype(int) - make(engine, request)).mean() < 6


def test_a_network_that_wrapped_around_is_itself_again(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path
) -> None:
    request = a_request(controls=((net, str(shown), 1.0),))
    before = make(engine, request)
    wrapped = make(engine, replace(request, seamless=True))
    assert not np.array_equal(wrapped, before)
    assert np.array_equal(make(engine, request), before)


def test_a_picture_that_tiles_is_guided_by_a_network_that_wraps_around(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, net: str, shown: Path
) -> None:
    stock = _stock("StableDiffusionControlNetPipeline", folder, [net])
    for network in (stock.unet, stock.vae, stock.controlnet):
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.padding_mode = "circular"
    theirs = stock("a fire", image=Image.open(shown), **_run())
    request = a_request(seamless=True, controls=((net, str(shown), 1.0),))
    assert _apart(make(engine, request), _bytes(theirs)) <= 1


# what is kept, and told


def test_a_controlnet_is_loaded_once(a_request: ARequest, nets: list[str], shown: Path, other: Path) -> None:
    engine = DiffusionEngine(Registry({}))
    first, second = nets
    one = a_request(controls=((first, str(shown), 1.0), (first, str(other), 0.5)))
    both = a_request(controls=((second, str(shown), 1.0), (first, str(other), 0.5)))
    assert [_loaded(events(engine, request)) for request in (one, one, both, both, one)] == [
        [one.model, first],
        [],
        [second],
        [],
        [],
    ]


def test_little_memory_changes_no_picture(a_request: ARequest, nets: list[str], shown: Path) -> None:
    request = a_request(controls=tuple((net, str(shown), 0.5) for net in nets))
    little = DiffusionEngine(Registry({}), EngineOptions(max_memory=1e-6))
    made = [make(little, request) for _ in range(2)]
    assert np.array_equal(*made)
    assert np.array_equal(made[0], make(DiffusionEngine(Registry({})), request))


def test_facts_tell_the_control_pictures_and_weights(
    engine: DiffusionEngine, a_request: ARequest, nets: list[str], shown: Path, other: Path, init: Path
) -> None:
    request = a_request(
        init_image=init,
        controls=((nets[0], str(shown), 1.0), (nets[1], str(other), 1.0), (nets[0], "auto:canny", 1.0)),
    )
    hashes = finished(events(engine, request)).facts.hashes
    weights = [Path(net) / "diffusion_pytorch_model.safetensors" for net in nets]
    expected = {
        "control picture": shown,
        "control picture 2": other,
        f"ControlNet {nets[0]}": weights[0],
        f"ControlNet {nets[1]}": weights[1],
    }
    assert {name: hashes[name] for name in expected} == {
        name: sha256(path.read_bytes()).hexdigest() for name, path in expected.items()
    }
    assert set(hashes) == {*expected, "init_image", "model"}


def test_a_picture_that_is_abandoned_leaves_nothing_behind(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path
) -> None:
    request = a_request(controls=((net, str(shown), 1.0),))
    whole = make(engine, request)
    running = engine.generate(request)
    for event in running:
        if isinstance(event, Step) and event.index == 2:
            break
    running.close()
    assert np.array_equal(make(engine, request), whole)


# where they come from


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_a_single_file_is_the_same_controlnet(
    layout: str, engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path
) -> None:
    unet = tiny.components()["unet"] if layout == "original" else None
    file = save_file_of(tmp_path / "net.safetensors", ControlNetModel.from_pretrained(net), unet)
    both = [make(engine, a_request(controls=((str(each), str(shown), 1.0),))) for each in (net, file)]
    assert np.array_equal(*both)


def test_a_single_file_that_is_built_otherwise_needs_its_config(
    a_request: ARequest, shown: Path, tmp_path: Path
) -> None:
    """Such as the small ControlNets for Stable Diffusion XL, which attend less often than their UNet."""
    network = controlnet(tiny.components()["unet"], down_block_types=("DownBlock2D", "DownBlock2D"))
    folder = save_controlnet(tmp_path / "small", network)
    file = save_file_of(tmp_path / "small.safetensors", network)
    known = ModelSpec(name="small", weights=str(file), kind="controlnet", config=str(folder))
    engine = DiffusionEngine(Registry({"small": known}))
    with pytest.raises(ModelError, match=r"does not fit .*: it is built otherwise than its UNet"):
        make(engine, a_request(controls=((str(file), str(shown), 1.0),)))
    both = [make(engine, a_request(controls=((name, str(shown), 1.0),))) for name in ("small", str(folder))]
    assert np.array_equal(*both)


def test_an_xl_single_file_is_the_same_controlnet(
    engine: DiffusionEngine, a_request: ARequest, xl: Callable[[int], Path], xl_net: str, shown: Path, tmp_path: Path
) -> None:
    file = save_file_of(tmp_path / "xl.safetensors", ControlNetModel.from_pretrained(xl_net))
    assert Registry({}).find(str(file), "controlnet").family == "sdxl"
    both = [make(engine, a_request(model=xl(4), controls=((str(each), str(shown), 1.0),))) for each in (xl_net, file)]
    assert np.array_equal(*both)


def test_half_precision_weights_alone_are_read(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path
) -> None:
    ControlNetModel.from_pretrained(net, torch_dtype=torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    request = a_request(controls=((str(tmp_path / "half"), str(shown), 1.0),))
    assert _apart(make(engine, request), make(engine, a_request(controls=((net, str(shown), 1.0),)))) <= 3


def test_a_hub_id_is_read_from_the_cache(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "models--somebody--net"
    copytree(net, kept / "snapshots" / "1")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    both = [make(engine, a_request(controls=((name, str(shown), 1.0),))) for name in ("somebody/net", net)]
    assert np.array_equal(*both)
    with pytest.raises(ModelError, match="not on this disk"):
        make(engine, a_request(controls=(("somebody/other", str(shown), 1.0),)))


# what cannot be used


def _of_other_width(place: Path) -> Path:
    unet = tiny.components()["unet"]
    return save_controlnet(place, controlnet(unet, block_out_channels=(16, 48)))


def _for_xl(place: Path) -> Path:
    return save_controlnet(place, controlnet(xl_components()["unet"]))


def _of_nine_channels(place: Path) -> Path:
    return save_controlnet(place, controlnet(tiny.components(channels=9)["unet"]))


def _for_another_vae(place: Path) -> Path:
    return save_controlnet(place, controlnet(tiny.components()["unet"], conditioning_embedding_out_channels=(8, 16)))


def _as_a_file(place: Path) -> Path:
    unet = tiny.components()["unet"]
    return save_file_of(place.with_suffix(".safetensors"), controlnet(unet, block_out_channels=(16, 48)))


def _without_weights(place: Path) -> Path:
    _whole(place)
    (place / "diffusion_pytorch_model.safetensors").unlink()
    return place


def _half_downloaded(place: Path) -> Path:
    _whole(place)
    weights = place / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return place


def _in_a_pickle(place: Path) -> Path:
    _without_weights(place)
    (place / "diffusion_pytorch_model.bin").write_bytes(b"code")
    return place


def _of_another_kind(place: Path) -> Path:
    return tiny.save_folder(place, tiny.components())


def _whole(place: Path) -> Path:
    return save_controlnet(place, controlnet(tiny.components()["unet"]))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (_of_other_width, "does not fit .*: it is made for blocks of 16/48 channels, not 16/32"),
        (_for_xl, "does not fit .*: it is made for texts that are 64 numbers wide, not 32"),
        (_of_nine_channels, "does not fit .*: it is made for 9 channels of latents, not 4"),
        (_for_another_vae, "does not fit .*: it is made for 2 pixels a latent, not 8"),
        (_as_a_file, "does not fit .*: it is built otherwise than its UNet"),
        (_without_weights, r"this model is incomplete: diffusion_pytorch_model\.safetensors is missing"),
        (_half_downloaded, "this file is damaged or only partly downloaded"),
        (_in_a_pickle, "its weights are pickle files"),
        (_of_another_kind, "this is a whole model, it belongs to -m"),
    ],
)
def test_one_that_cannot_be_used_is_one_sentence_and_the_model_stays(
    made: Callable[[Path], Path],
    sentence: str,
    a_request: ARequest,
    shown: Path,
    tmp_path: Path,
) -> None:
    engine = DiffusionEngine(Registry({}))
    before = make(engine, a_request())
    with pytest.raises(ModelError, match=sentence) as caught:
        make(engine, a_request(controls=((str(made(tmp_path / "net")), str(shown), 1.0),)))
    assert "\n" not in caught.value.message
    after = events(engine, a_request())
    assert _loaded(after) == []
    assert np.array_equal(pixels(after), before)


def test_one_that_fitted_another_model_is_looked_at_again(
    engine: DiffusionEngine, a_request: ARequest, xl: Callable[[int], Path], net: str, shown: Path
) -> None:
    make(engine, a_request(controls=((net, str(shown), 1.0),)))
    with pytest.raises(ModelError, match="does not fit"):
        make(engine, a_request(model=xl(4), controls=((net, str(shown), 1.0),)))


def test_what_cannot_be_looked_at_is_one_sentence(engine: DiffusionEngine, a_request: ARequest, net: str) -> None:
    with pytest.raises(PictureError, match="there is no such picture"):
        make(engine, a_request(controls=((net, "gone.png", 1.0),)))
    with pytest.raises(RequestError, match="auto:canny: there is no init picture"):
        make(engine, a_request(controls=((net, "auto:canny", 1.0),)))


def _loaded(told: Sequence[EngineEvent]) -> list[str]:
    return [event.model for event in told if isinstance(event, Loading)]


def _stock(pipeline: str, folder: Path, nets: Sequence[str], sampler: str = "k_euler") -> Any:
    load: Any = ControlNetModel.from_pretrained
    networks = [load(net) for net in nets]
    stock = getattr(diffusers, pipeline).from_pretrained(
        str(folder), controlnet=networks[0] if len(networks) == 1 else networks
    )
    kind = {"ddim": diffusers.DDIMScheduler, "k_euler": diffusers.EulerDiscreteScheduler}[sampler]
    stock.scheduler = kind.from_config(stock.scheduler.config)
    stock.set_progress_bar_config(disable=True)
    return stock


def _run() -> dict[str, Any]:
    size = {"width": 64, "height": 64}
    return {"num_inference_steps": 4, "generator": torch.Generator("cpu").manual_seed(42), "output_type": "np"} | size


def _painted_alike(engine: DiffusionEngine, request: Request, stock: Any, shown: Path, tmp_path: Path) -> int:
    """The largest difference inside the hole, in levels; outside, ours is the original."""
    hole = np.repeat(np.repeat(disc(8, 8, 3), 8, 0), 8, 1)
    path = with_alpha(tmp_path / "holed.png", scene(), np.where(hole, 0, 255))
    theirs = stock(
        "a fire",
        image=Image.fromarray(scene()),
        mask_image=Image.fromarray(hole.astype(np.uint8) * 255),
        control_image=Image.open(shown),
        controlnet_conditioning_scale=1.0,
        guidance_scale=7.5,
        strength=request.strength,
        **_run(),
    )
    ours = make(engine, replace(request, init_image=str(path)))
    assert np.array_equal(ours[~hole], scene()[~hole])
    return _apart(ours[hole], _bytes(theirs)[hole])


def _apart(one: Array, other: Array) -> int:
    """The largest difference, in levels."""
    return int(abs(one.astype(int) - other.astype(int)).max())


def _bytes(result: Any) -> Array:
    return (result.images[0] * 255).round().astype(np.uint8)

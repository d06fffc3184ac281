"""ControlNets from folders, single files and the hub's cache; and those that cannot be used."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import load_file

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError, PictureError, RequestError
from invoke.models import ModelSpec, Registry
from tests import tiny
from tests.checkpoint_makings import save, state_of
from tests.engine.making import events, loaded, make, pixels
from tests.making import ARequest
from tests.tiny_control import controlnet, save_controlnet, save_file_of
from tests.tiny_xl import xl_components

# ruff: noqa: PLR0917 - filled in by pytest


pytestmark = pytest.mark.usefixtures("no_network")


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_a_single_file_draws_like_the_folder(
    layout: str, engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path
) -> None:
    unet = tiny.components()["unet"] if layout == "original" else None
    file = save_file_of(tmp_path / "net.safetensors", ControlNetModel.from_pretrained(net), unet)
    both = [make(engine, a_request(controls=((str(each), str(shown), 1.0),))) for each in (net, file)]
    assert np.array_equal(*both)


def test_a_single_file_of_another_architecture_needs_a_config(a_request: ARequest, shown: Path, tmp_path: Path) -> None:
    """Such as the small ControlNets for Stable Diffusion XL, which attend less often than their UNet."""
    network = controlnet(tiny.components()["unet"], down_block_types=("DownBlock2D", "DownBlock2D"))
    folder = save_controlnet(tmp_path / "small", network)
    file = save_file_of(tmp_path / "small.safetensors", network)
    stored = ModelSpec(name="small", weights=str(file), kind="controlnet", config=str(folder))
    engine = DiffusionEngine(Registry({"small": stored}))
    with pytest.raises(ModelError, match=r"does not fit .*: its architecture differs from the UNet's"):
        make(engine, a_request(controls=((str(file), str(shown), 1.0),)))
    both = [make(engine, a_request(controls=((name, str(shown), 1.0),))) for name in ("small", str(folder))]
    assert np.array_equal(*both)


def test_an_xl_single_file_draws_like_the_folder(
    engine: DiffusionEngine, a_request: ARequest, xl_of: Callable[[int], Path], xl_net: str, shown: Path, tmp_path: Path
) -> None:
    file = save_file_of(tmp_path / "xl.safetensors", ControlNetModel.from_pretrained(xl_net))
    assert Registry({}).find(str(file), "controlnet").family == "sdxl"
    both = [
        make(engine, a_request(model=xl_of(4), controls=((str(each), str(shown), 1.0),))) for each in (xl_net, file)
    ]
    assert np.array_equal(*both)


def test_a_folder_with_only_half_precision_weights_is_read(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path
) -> None:
    ControlNetModel.from_pretrained(net, torch_dtype=torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    request = a_request(controls=((str(tmp_path / "half"), str(shown), 1.0),))
    whole = make(engine, a_request(controls=((net, str(shown), 1.0),)))
    assert abs(make(engine, request).astype(int) - whole).max() <= 3


def test_a_controlnet_inside_a_whole_checkpoint_is_used(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path
) -> None:
    """Like control_sd15_canny.pth."""
    parts = tiny.components()
    save_file_of(tmp_path / "net.safetensors", controlnet(parts["unet"]), parts["unet"])
    whole = load_file(tmp_path / "net.safetensors") | state_of(parts, "sd1")
    save(tmp_path / "control_sd15.safetensors", whole)
    assert Registry({}).find(str(tmp_path / "control_sd15.safetensors"), "controlnet").kind == "controlnet"
    both = [
        make(engine, a_request(steps=2, controls=((name, str(shown), 1.0),)))
        for name in (str(tmp_path / "control_sd15.safetensors"), net)
    ]
    assert np.array_equal(*both)


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("lora_controlnet", "a control-LoRA"),
        ("adapter.body.0.resnets.0.block1.weight", "a T2I-Adapter"),
        ("body.0.in_conv.weight", "a T2I-Adapter"),
        ("task_embedding", "a ControlNet union"),
        ("ip_adapter.1.to_k_lora.down.weight", "an IP-Adapter FaceID"),
        ("control_model.enc_zero_convs_out.0.weight", "a ControlNet-XS"),
    ],
)
def test_networks_similar_to_controlnets_are_refused(
    key: str, what: str, engine: DiffusionEngine, a_request: ARequest, shown: Path, tmp_path: Path
) -> None:
    path = save(tmp_path / "x.safetensors", {key: torch.ones(2, 2), "input_blocks.0.0.weight": torch.ones(2, 4, 3, 3)})
    with pytest.raises(ModelError, match=f"holds {what}, which is not supported") as caught:
        make(engine, a_request(steps=2, controls=((str(path), str(shown), 1.0),)))
    assert caught.value.hint


def test_a_hub_id_is_read_from_the_cache(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "models--somebody--net"
    copytree(net, kept / "snapshots" / "1")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    both = [make(engine, a_request(controls=((name, str(shown), 1.0),))) for name in ("somebody/net", net)]
    assert np.array_equal(*both)
    with pytest.raises(ModelError, match="not on this disk"):
        make(engine, a_request(controls=(("somebody/other", str(shown), 1.0),)))


# unusable ControlNets


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


def _of_nan(place: Path) -> Path:
    network = controlnet(tiny.components()["unet"])
    torch.nn.init.constant_(network.conv_in.weight, torch.nan)
    return save_controlnet(place, network)


def _of_no_known_layers(place: Path) -> Path:
    return save(place.with_suffix(".safetensors"), {"brushnet_mid_block.weight": torch.ones(2, 2, 1, 1)})


def _of_a_transformer(place: Path) -> Path:
    _whole(place)
    (place / "config.json").write_text(json.dumps({"_class_name": "FluxControlNetModel"}))
    return place


def _of_another_kind(place: Path) -> Path:
    return tiny.save_folder(place, tiny.components())


def _whole(place: Path) -> Path:
    return save_controlnet(place, controlnet(tiny.components()["unet"]))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (_of_other_width, "does not fit .*: it is made for blocks of 16/48 channels, not 16/32"),
        (_for_xl, "does not fit .*: it is made for text embeddings of width 64, not 32"),
        (_of_nine_channels, "does not fit .*: it is made for 9 latent channels, not 4"),
        (_for_another_vae, "does not fit .*: it is made for 2 pixels per latent, not 8"),
        (_as_a_file, "does not fit .*: its architecture differs from the UNet's"),
        (_without_weights, r"this model is incomplete: diffusion_pytorch_model\.safetensors is missing"),
        (_half_downloaded, "this file is damaged or only partly downloaded"),
        (_in_a_pickle, "its weights are pickle files"),
        (_of_another_kind, "this is a whole model; use it with -m"),
        (_of_nan, "this ControlNet holds values that are not numbers .*conv_in.weight"),
        (_of_no_known_layers, "this file does not hold a ControlNet for Stable Diffusion"),
        (_of_a_transformer, "holds only the class FluxControlNetModel, which is not supported on its own"),
    ],
)
def test_an_unusable_controlnet_is_refused_and_the_model_stays(
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
    assert loaded(after) == []
    assert np.array_equal(pixels(after), before)


def test_a_controlnet_is_checked_again_for_another_model(
    engine: DiffusionEngine, a_request: ARequest, xl_of: Callable[[int], Path], net: str, shown: Path
) -> None:
    make(engine, a_request(controls=((net, str(shown), 1.0),)))
    with pytest.raises(ModelError, match="does not fit"):
        make(engine, a_request(model=xl_of(4), controls=((net, str(shown), 1.0),)))


def test_an_unreadable_control_picture_is_refused(engine: DiffusionEngine, a_request: ARequest, net: str) -> None:
    with pytest.raises(PictureError, match="there is no such picture"):
        make(engine, a_request(controls=((net, "gone.png", 1.0),)))
    with pytest.raises(RequestError, match="auto:canny: there is no init picture"):
        make(engine, a_request(controls=((net, "auto:canny", 1.0),)))

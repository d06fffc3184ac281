"""ESRGAN and its kin, through spandrel."""

import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from invoke.errors import EngineError, ModelError
from tests import tiny_upscalers
from tests.engine.postprocess.conftest import Tool, enlarge, picture

spandrel = pytest.mark.skipif(util.find_spec("spandrel") is None, reason="the extra [upscale] is not installed")


@pytest.fixture(scope="module")
def esrgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_upscalers.save_esrgan(tmp_path_factory.mktemp("esrgan") / "tiny.safetensors")


@spandrel
def test_an_esrgan_is_recognised_by_its_tensors(tool: Tool, esrgan: Path, tmp_path: Path) -> None:
    assert tool(esrgan).factor == 4
    assert tool(tiny_upscalers.save_esrgan(tmp_path / "x2.safetensors", scale=2)).factor == 2


@spandrel
def test_an_esrgan_enlarges_like_spandrel(tool: Tool, esrgan: Path) -> None:
    loaded = tool(esrgan)
    ours, steps = enlarge(loaded, picture())
    assert steps == 1
    plane = torch.from_numpy(picture()).permute(2, 0, 1)[None].float() / 255
    theirs = (loaded.descriptor(plane)[0].permute(1, 2, 0) * 255).round()  # type: ignore[attr-defined]
    assert np.array_equal(ours, theirs.numpy())


@spandrel
def test_tiles_give_the_same_picture(tool: Tool, esrgan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tool(esrgan)
    whole, _ = enlarge(loaded, picture(192, 96))
    monkeypatch.setattr("invoke.engine.postprocess.esrgan.SIDE", 128)
    tiled, steps = enlarge(loaded, picture(192, 96))
    assert steps == 2
    assert np.abs(tiled.astype(int) - whole).max() <= 1  # its receptive field is smaller than the overlap


@spandrel
def test_the_torchvision_stand_in_is_removed_after_loading(tool: Tool, esrgan: Path) -> None:
    tool(esrgan)
    assert util.find_spec("torchvision") is not None or "torchvision" not in sys.modules


@spandrel
def test_nan_never_becomes_a_picture(tool: Tool, esrgan: Path, tmp_path: Path) -> None:
    state = {name: tensor * torch.nan for name, tensor in load_file(esrgan).items()}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="x: this upscaler holds values that are not numbers"):
        tool(tmp_path / "x.safetensors")
    loaded = tool(esrgan)
    torch.nn.init.constant_(next(loaded.network.parameters()), torch.nan)  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match="tiny: overflow in the upscaler; the picture was not enlarged"):
        enlarge(loaded, picture())


@spandrel
def test_other_files_are_refused(tool: Tool, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="network in this file is not supported"):
        tool(tmp_path / "other.safetensors")


def test_without_spandrel_the_error_says_what_to_install(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_upscalers.save_esrgan(tmp_path / "tiny.safetensors")
    monkeypatch.setattr("invoke.engine.postprocess.spandrel_files.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="spandrel") as caught:
        tool(path)
    assert caught.value.hint == "pip install 'invoke-shell[upscale]'"

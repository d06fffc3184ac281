"""A transformer in a GGUF file: the picture of its unpacked weights, the rest from the entry; else one sentence."""

import dataclasses
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.loading.model_pool import ModelPool, weight
from invoke.errors import ModelError
from invoke.models import ModelSpec, Registry
from invoke.models.hub.repository import choose
from invoke.models.loadable import bytes_of_weights, check_loadable
from invoke.models.registry import recognise
from tests import tiny_transformers
from tests.engine.making import events, finished, pixels
from tests.engine.stock import apart, in_bytes, run, stock_pipeline
from tests.engine.test_quantization import CPU, flux
from tests.making import ARequest

__all__ = ["flux"]
gguf = pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def packed(flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The matrices of a Flux in eight bits each (Q8_0), the rest in float32."""
    network = diffusers.FluxTransformer2DModel.from_pretrained(str(flux), subfolder="transformer")
    return pack(network.state_dict(), tmp_path_factory.mktemp("packed") / "flux.gguf")


def pack(weights: dict[str, torch.Tensor], file: Path) -> Path:
    writer, packed = gguf.GGUFWriter(str(file), "flux"), gguf.GGMLQuantizationType.Q8_0
    for name, tensor in weights.items():
        values = tensor.float().numpy()
        if values.ndim == 2 and values.shape[1] % 32 == 0:
            writer.add_tensor(name, gguf.quants.quantize(values, packed), raw_dtype=packed)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def unpacked(file: Path) -> dict[str, torch.Tensor]:
    """By the library gguf itself, where diffusers has unpacking of its own."""
    return {
        tensor.name: torch.from_numpy(
            np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).reshape(tensor.shape[::-1].tolist())
        )
        for tensor in gguf.GGUFReader(str(file)).tensors
    }


def spec(folder: Path, file: Path | str, **fields: Any) -> ModelSpec:
    given = {"family": "auto", "sampler": "k_euler", **fields}
    return ModelSpec(name="small", weights=str(folder), gguf=str(file), **given)


def test_a_gguf_file_draws_the_picture_of_its_unpacked_weights(flux: Path, packed: Path, a_request: ARequest) -> None:
    small = spec(flux, packed)
    made = events(DiffusionEngine(Registry({"small": small})), a_request(model="small", steps=2))
    stock = stock_pipeline("FluxPipeline", flux)
    stock.transformer.load_state_dict(unpacked(packed))
    request = a_request(model="small", steps=2)
    size = {"width": request.width, "height": request.height}
    wanted = stock(prompt=request.prompt, guidance_scale=request.guidance_scale, **size, **run(2))
    assert apart(pixels(made), in_bytes(wanted)) <= 1
    assert finished(made).facts.dtype == "float32, gguf weights"


def test_the_replaced_weights_are_neither_loaded_nor_downloaded(flux: Path, packed: Path) -> None:
    plain = ModelSpec(name="plain", weights=str(flux), family="auto")
    pool = ModelPool(Registry({"plain": plain, "small": spec(flux, packed)}), CPU, offline=True)
    assert weight(pool.any_model("small")) <= 0.6 * weight(pool.any_model("plain"))
    assert bytes_of_weights(spec(flux, packed)) < 0.6 * bytes_of_weights(plain)
    files = [file.relative_to(flux).as_posix() for file in flux.rglob("*.*")]
    index = {"transformer": ["diffusers", "FluxTransformer2DModel"], "vae": ["diffusers", "AutoencoderKL"]}
    chosen = choose("small", files, index, half=True, without=spec(flux, packed).without)
    assert [file for file in chosen if file.endswith(".safetensors")] == ["vae/diffusion_pytorch_model.safetensors"]
    assert "transformer/config.json" in chosen


def test_unusable_gguf_files_are_refused(
    flux: Path, folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.gguf"
    page.write_bytes(b"<html>")
    few = pack(dict(list(unpacked(packed).items())[:4]), tmp_path / "few.gguf")
    pixart = tmp_path / "pixart"
    tiny_transformers.pixart().save_pretrained(pixart)
    for wrong, sentence in (
        (spec(flux, tmp_path / "gone.gguf"), "small: there is no file .*gone.gguf"),
        (spec(flux, page), "small: .*page.gguf is not a GGUF file"),
        (spec(flux, few), r"small: few.gguf does not fit its transformer \(FluxTransformer2DModel\)"),
        (
            spec(pixart, packed),
            r"small: diffusers cannot read GGUF files of its transformer \(PixArtTransformer2DModel\)",
        ),
        (spec(folder, packed, family="sd"), "small: GGUF files work only with models that run in a diffusers pipeline"),
    ):
        with pytest.raises(ModelError, match=sentence):
            ModelPool(Registry({"small": wrong}), CPU, offline=True).any_model("small")
    with pytest.raises(ModelError, match="a GGUF file holds one network of a model, not a whole one"):
        recognise(str(packed))
    monkeypatch.setattr("invoke.models.gguf.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="small: its GGUF file needs the library gguf") as caught:
        check_loadable(spec(flux, packed))
    assert "invoke-shell[gguf]" in caught.value.hint


def test_changing_the_gguf_file_of_an_entry_reloads_it(flux: Path, packed: Path) -> None:
    one = spec(flux, packed)
    pool = ModelPool(Registry({"small": one, "plain": dataclasses.replace(one, gguf="")}), CPU, offline=True)
    assert pool.any_model("small") is not pool.any_model("plain")

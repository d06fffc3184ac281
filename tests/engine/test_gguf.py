"""A transformer in a GGUF file draws the picture of its unpacked weights; unusable files are refused."""

import dataclasses
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.loaders.single_file_utils import convert_z_image_transformer_checkpoint_to_diffusers

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.loading.model_pool import ModelPool, weight
from invoke.errors import ModelError
from invoke.models import ModelSpec, Registry
from invoke.models.hub.repository import choose
from invoke.models.loadable import bytes_of_weights, check_loadable
from invoke.models.registry import recognise
from tests import tiny_families, tiny_transformers
from tests.engine.making import events, finished, pixels
from tests.engine.stock import apart, in_bytes, run, stock_pipeline
from tests.engine.test_quantization import CPU, flux
from tests.making import ARequest

__all__ = ["flux"]
gguf = pytest.importorskip("gguf")


SCALES = {
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "IQ4_XS": (0,),
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "IQ4_NL": (0,),
}
"""Type of a block → where its half floats lie, in bytes (ggml-common.h); every other byte may be anything."""


@pytest.fixture(scope="module")
def packed(flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Flux whose matrices are of all types in turn, as in files named Q4_K_M; what is no matrix has 16 bits."""
    network = diffusers.FluxTransformer2DModel.from_pretrained(str(flux), subfolder="transformer")
    return pack(network.state_dict(), tmp_path_factory.mktemp("packed") / "flux.gguf")


def pack(weights: dict[str, torch.Tensor], file: Path, architecture: str = "flux") -> Path:
    writer, types = gguf.GGUFWriter(str(file), architecture), gguf.GGMLQuantizationType
    draw = np.random.default_rng(0)
    for number, (name, tensor) in enumerate(weights.items()):
        values = tensor.float().numpy()
        fitting = [kind for kind in SCALES if not values.shape[-1] % gguf.GGML_QUANT_SIZES[types[kind]][0]]
        if values.ndim == 2 and fitting:
            kind = fitting[number % len(fitting)]
            writer.add_tensor(name, blocks(kind, values.shape, draw), raw_dtype=types[kind])
        elif number % 2:
            writer.add_tensor(name, gguf.quants.quantize(values, types.BF16), raw_dtype=types.BF16)
        else:
            writer.add_tensor(name, values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def blocks(kind: str, shape: tuple[int, ...], draw: np.random.Generator) -> np.ndarray:
    """Random weights of this type, rows × bytes, of about the size of a network's."""
    values, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    made = draw.integers(0, 256, (shape[0] * shape[1] // values, size), dtype=np.uint8)
    for place in SCALES[kind]:
        made[:, place : place + 2] = np.full((len(made), 1), 1e-4, np.float16).view(np.uint8)
    return made.reshape(shape[0], -1)


def packed_oddly(file: Path) -> Path:
    """In a type of ggml that diffusers does not know."""
    writer, kind = gguf.GGUFWriter(str(file), "flux"), gguf.GGMLQuantizationType.TQ1_0
    writer.add_tensor("x", gguf.quants.quantize(np.ones((4, 256), np.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def unpacked(file: Path) -> dict[str, torch.Tensor]:
    """By the library gguf itself; diffusers has its own unpacking."""
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


def test_a_gguf_file_may_have_its_makers_names(tmp_path: Path, a_request: ARequest) -> None:
    """As files on the hub do: query, key and value in one matrix, which is split while it is packed."""
    tiny_families.z_image().save_pretrained(tmp_path / "z")
    stock = stock_pipeline("ZImagePipeline", tmp_path / "z")
    file = pack(_by_its_makers(stock.transformer.state_dict()), tmp_path / "z.gguf", "lumina2")
    stock.transformer.load_state_dict(convert_z_image_transformer_checkpoint_to_diffusers(unpacked(file)))
    request = a_request(model="small", steps=2)
    size = {"width": request.width, "height": request.height}
    wanted = stock(prompt=request.prompt, guidance_scale=request.guidance_scale, **size, **run(2))
    made = events(DiffusionEngine(Registry({"small": spec(tmp_path / "z", file)})), request)
    assert apart(pixels(made), in_bytes(wanted)) <= 1


def _by_its_makers(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Z-Image's weights by the names of its makers, who join query, key and value."""
    parts = ("to_q", "to_k", "to_v")
    named = {
        name.replace("to_q", "qkv"): torch.cat([weights[name.replace("to_q", part)] for part in parts])
        for name in weights
        if ".to_q." in name
    }
    named |= {name: weight for name, weight in weights.items() if not any(f".{part}." in name for part in parts)}
    for theirs, ours in (("final_layer.", "all_final_layer.2-1."), ("x_embedder.", "all_x_embedder.2-1.")):
        named = {name.replace(ours, theirs): weight for name, weight in named.items()}
    for theirs, ours in (("out.", "to_out.0."), ("k_norm.", "norm_k."), ("q_norm.", "norm_q.")):
        named = {name.replace(f"attention.{ours}", f"attention.{theirs}"): weight for name, weight in named.items()}
    return named


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
    page, cut = tmp_path / "page.gguf", tmp_path / "cut.gguf"
    page.write_bytes(b"<html>")
    cut.write_bytes(packed.read_bytes()[:-5000])
    weights = unpacked(packed)
    few = pack(dict(list(weights.items())[:4]), tmp_path / "few.gguf")
    more = pack(weights | {"guidance_in.in_layer.bias": torch.ones(8)}, tmp_path / "more.gguf")
    unet = pack({"input_blocks.0.0.weight": torch.ones(8, 32)}, tmp_path / "unet.gguf", "sd1")
    odd = packed_oddly(tmp_path / "odd.gguf")
    pixart = tmp_path / "pixart"
    tiny_transformers.pixart().save_pretrained(pixart)
    for wrong, sentence in (
        (spec(flux, tmp_path / "gone.gguf"), "small: there is no file .*gone.gguf"),
        (spec(flux, page), "small: .*page.gguf is not a GGUF file"),
        (spec(flux, cut), "small: .*cut.gguf is not a whole GGUF file"),
        (spec(flux, few), r"small: few.gguf does not fit its transformer \(FluxTransformer2DModel\)"),
        (spec(flux, more), r"small: more.gguf does not fit its transformer \(FluxTransformer2DModel\)"),
        (spec(flux, unet), r"small: unet.gguf does not fit its transformer"),
        (spec(flux, odd), "small: diffusers cannot read weights of the type TQ1_0, which odd.gguf holds"),
        (
            spec(pixart, packed),
            r"small: diffusers cannot read GGUF files of its transformer \(PixArtTransformer2DModel\)",
        ),
        (spec(folder, packed, family="sd"), "small: GGUF files work only with models that run in a diffusers pipeline"),
    ):
        with pytest.raises(ModelError, match=sentence) as caught:
            ModelPool(Registry({"small": wrong}), CPU, offline=True).any_model("small")
        assert "architecture is 'sd1'" in caught.value.hint or wrong.gguf != str(unet)
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

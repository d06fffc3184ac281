"""Quantised weights: much less memory, nearly the same picture, and an error where unsupported."""

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from invoke.engine.components.devices import Placement
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.loading.model_pool import ModelPool, weight
from invoke.errors import ModelError
from invoke.events import Note
from invoke.models import ModelSpec, Registry
from invoke.options import Offload
from tests import tiny, tiny_transformers
from tests.engine.making import events, finished
from tests.engine.stock import apart
from tests.making import ARequest

CPU = Placement(torch.device("cpu"), torch.bfloat16)


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Flux whose transformer outweighs the rest, as in the real ones."""
    pipeline = tiny_transformers.flux()
    torch.manual_seed(0)
    config = {key: value for key, value in pipeline.transformer.config.items() if key[0] != "_"}
    config |= {"attention_head_dim": 64, "num_attention_heads": 4, "axes_dims_rope": (16, 24, 24)}
    parts = dict(pipeline.components)
    parts["transformer"] = diffusers.FluxTransformer2DModel(**config).eval()
    folder = tmp_path_factory.mktemp("models") / "flux"
    tiny.quiet(diffusers.FluxPipeline(**parts)).save_pretrained(folder)
    return folder


def registry(folder: Path, **fields: Any) -> Registry:
    specs = [
        ModelSpec(name="plain", weights=str(folder), family="auto", sampler="k_euler"),
        ModelSpec(name="small", weights=str(folder), family="auto", sampler="k_euler", **fields),
    ]
    return Registry({spec.name: spec for spec in specs})


def test_int8_weights_load_in_about_half_the_memory(flux: Path) -> None:
    pytest.importorskip("torchao")
    pool = ModelPool(registry(flux, quantize="int8"), CPU, offline=True)
    plain, small = (weight(pool.any_model(name)) for name in ("plain", "small"))
    assert small <= 0.6 * plain


def test_a_quantised_picture_is_close_and_records_it(flux: Path, a_request: ARequest) -> None:
    pytest.importorskip("torchao")
    engine = DiffusionEngine(registry(flux, quantize="int8"))
    made = [finished(events(engine, a_request(model=name, steps=2))) for name in ("plain", "small")]
    plain, small = (torch.frombuffer(bytearray(one.image.data), dtype=torch.uint8).numpy() for one in made)
    assert 0 <= apart(plain, small) <= 12
    assert [one.facts.dtype.endswith(", int8 weights") for one in made] == [False, True]


def test_missing_libraries_or_gpu_are_named_before_loading(
    flux: Path, a_request: ARequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invoke.engine.components.quantization.find_spec", lambda name: None)
    engine = DiffusionEngine(registry(flux, quantize="int8"))
    with pytest.raises(ModelError, match="small: --quantize int8 needs torchao, which is not installed") as caught:
        events(engine, a_request(model="small"))
    assert "invoke-shell[quantize]" in caught.value.hint
    monkeypatch.setattr("invoke.engine.components.quantization.find_spec", lambda name: True)
    engine = DiffusionEngine(registry(flux, quantize="nf4"))
    with pytest.raises(ModelError, match="small: --quantize nf4 needs an NVIDIA GPU"):
        events(engine, a_request(model="small"))


def test_a_family_that_is_not_quantised_is_refused_by_name(folder: Path, a_request: ARequest) -> None:
    spec = ModelSpec(name="small", weights=str(folder), quantize="int8")
    with pytest.raises(ModelError, match="--quantize int8: weights of the family of small cannot be quantised"):
        events(DiffusionEngine(Registry({"small": spec})), a_request(model="small"))


def test_a_model_too_large_for_the_memory_is_noted_before_loading(flux: Path) -> None:
    pool = ModelPool(registry(flux, quantize="int8"), CPU, offline=True, budget=1_000_000)
    first = next(pool.ready_model("plain"))
    assert isinstance(first, Note)
    assert first.text.startswith("plain: its weights take about ")
    assert "--quantize int8 halves them" in first.text
    assert not isinstance(next(ModelPool(registry(flux), CPU, offline=True).ready_model("plain")), Note)


@pytest.mark.parametrize(
    ("offload", "beginning", "hints"),
    [
        ("none", "plain: its weights take about 0.0 GB", ["int8", "--offload model", "--offload group"]),
        ("model", "plain: its largest network takes about 0.0 GB", ["int8", "--offload group"]),
        ("group", "", []),
    ],
)
def test_memory_hints_depend_on_the_offloading(offload: Offload, beginning: str, hints: list[str], flux: Path) -> None:
    place = Placement(torch.device("cuda"), torch.bfloat16, offload)
    text = ModelPool(registry(flux), place, offline=True, budget=1_000_000)._too_large("plain")
    assert text.startswith(beginning)
    assert all(hint in text for hint in hints)
    assert ("--offload model" in text) == ("--offload model" in hints)
    entry = ModelPool(registry(flux, offload="group"), place, offline=True, budget=1_000_000)
    assert entry._too_large("small") == ""
    assert entry.placement_of("small").offload == "group"

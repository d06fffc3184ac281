"""Few-step models: an entry with a LoRA, a sampler and no guidance takes exactly its number of calls."""

from pathlib import Path

import numpy as np
import pytest

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.sampling.model_call import run_eager
from invoke.models import ModelSpec, Registry
from tests import tiny
from tests.engine.making import events, finished, make
from tests.engine.stock import in_bytes, run, stock_pipeline
from tests.lora_makings import LoraCase, write
from tests.making import ARequest

FEW = {"lcm": {}, "tcd": {}, "ddim": {"timestep_spacing": "trailing"}, "k_euler": {"timestep_spacing": "trailing"}}
"""Sampler → the other settings of shipped entries."""


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("loras") / "fast.safetensors"
    write(file, LoraCase(), tiny.components())
    return file


def _engine(folder: Path, lora: Path, **fields: str) -> DiffusionEngine:
    few = ModelSpec(name="few", weights=str(folder), lora="fast", stated=frozenset({"lora", *fields}), **fields)
    fast = ModelSpec(name="fast", weights=str(lora), kind="lora")
    return DiffusionEngine(Registry({"few": few, "fast": fast, "base": ModelSpec(name="base", weights=str(folder))}))


@pytest.mark.parametrize("sampler", FEW)
@pytest.mark.parametrize("init_image", [None, "init"])
def test_each_step_is_a_single_call_without_guidance(  # noqa: PLR0917 - filled in by pytest
    sampler: str,
    init_image: str | None,
    a_request: ARequest,
    folder: Path,
    lora: Path,
    init: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from diffusers import UNet2DConditionModel

    rows: list[int] = []
    forward = UNet2DConditionModel.forward
    monkeypatch.setattr(
        UNet2DConditionModel,
        "forward",
        lambda self, x, *args, **more: rows.append(len(x)) or forward(self, x, *args, **more),
    )
    start = {"init_image": init, "strength": 0.5} if init_image else {}
    request = a_request(model="few", scheduler=sampler, guidance_scale=1.0, **start)
    engine = _engine(folder, lora, **FEW[sampler])
    monkeypatch.setattr(engine, "_executor", run_eager)  # recorded calls bypass the method
    happened = events(engine, request)
    assert rows == [1] * (2 if init_image else 4)
    assert finished(happened).facts.hashes.keys() >= {"model", "lora fast"}


def test_the_lora_of_an_entry_equals_one_in_the_prompt(a_request: ARequest, folder: Path, lora: Path) -> None:
    engine = _engine(folder, lora)
    entry = make(engine, a_request(model="few"))
    assert np.array_equal(entry, make(engine, a_request(model="base", prompt="a fire withLora(fast,1)")))
    assert not np.array_equal(entry, make(engine, a_request(model="base")))


def test_trailing_euler_matches_the_pipeline(a_request: ARequest, folder: Path, lora: Path) -> None:
    import diffusers

    stock = stock_pipeline("StableDiffusionPipeline", folder, safety_checker=None)
    stock.scheduler = diffusers.EulerDiscreteScheduler.from_config(stock.scheduler.config, timestep_spacing="trailing")
    theirs = in_bytes(stock("a fire", width=64, height=64, guidance_scale=1.0, **run(4)))
    few = ModelSpec(
        name="few", weights=str(folder), timestep_spacing="trailing", stated=frozenset({"timestep_spacing"})
    )
    ours = make(DiffusionEngine(Registry({"few": few})), a_request(model="few", guidance_scale=1.0))
    assert np.array_equal(ours, theirs)

"""Packed weights: the same bits under any change of the networks, and a single copy of the weights."""

from collections.abc import Callable, Generator, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import invoke
from invoke.engine import Job
from invoke.engine.components import packing
from invoke.engine.components.packing import PackedConv2d, PackedLinear, pack, unpack, unpacked
from invoke.engine.components.vae import finite
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.loading.model_pool import weight
from invoke.errors import InvokeError
from invoke.events import NO_PREVIEWS, EngineEvent, Finished
from invoke.models import ModelSpec, Registry
from invoke.options import EngineOptions
from invoke.request import Request
from tests.engine.making import image_of
from tests.making import ARequest

pytestmark = pytest.mark.skipif(not packing.can_pack(), reason="this processor has no instructions for bfloat16")

DATA = Path(__file__).parents[1] / "data"
POCKET = Path(invoke.__file__).parent / "pocket"
OPTIONS = EngineOptions(device="cpu", precision="bfloat16")


@pytest.fixture(scope="module")
def models() -> Registry:
    """The built-in model's LoRA."""
    spec = ModelSpec(name="blueprint", weights=str(DATA / "pocket-blueprint.safetensors"), kind="lora")
    return Registry({spec.name: spec})


@pytest.fixture(scope="module")
def packed(models: Registry) -> Iterator[DiffusionEngine]:
    engine = DiffusionEngine(models, OPTIONS)
    yield engine
    engine.close()


class _PlainEngine(DiffusionEngine):
    """One whose networks are never packed, and whose calls are not recorded."""

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(packing, "can_pack", lambda: False)
            yield from super().generate_batch(jobs)


@pytest.fixture(scope="module")
def plain(models: Registry) -> Iterator[DiffusionEngine]:
    engine = _PlainEngine(models, replace(OPTIONS, graphs=False))
    yield engine
    engine.close()


@settings(max_examples=30)
@given(
    rows=st.integers(1, 4),
    side=st.integers(4, 24),
    given_channels=st.sampled_from([1, 4, 9, 16, 40]),
    channels=st.sampled_from([3, 16, 32]),
    kernel=st.sampled_from([1, 3]),
    stride=st.sampled_from([1, 2]),
    has_bias=st.booleans(),
)
def test_a_packed_layer_computes_the_same_bits(  # noqa: PLR0917 - what a layer is made from
    rows: int, side: int, given_channels: int, channels: int, kernel: int, stride: int, has_bias: bool
) -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(given_channels, channels, kernel, stride, kernel // 2, bias=has_bias)
    linear = torch.nn.Linear(8 * given_channels, 8 * channels, bias=has_bias)
    layers = torch.nn.ModuleList([convolution, linear]).bfloat16().to(memory_format=torch.channels_last)
    layers = layers.requires_grad_(False)
    pictures = torch.randn(rows, given_channels, side, side).bfloat16()
    words = torch.randn(rows, side, 8 * given_channels).bfloat16()
    inputs = [pictures, words]
    before, weights = [layer(x) for layer, x in zip(layers, inputs, strict=True)], deepcopy(layers.state_dict())
    pack(layers)
    assert isinstance(layers[0], PackedConv2d)
    assert isinstance(layers[1], PackedLinear) == (linear.weight.numel() > packing.LEAST)
    assert all(torch.equal(layer(x), y) for layer, x, y in zip(layers, inputs, before, strict=True))
    unpack(layers)
    assert [type(layer) for layer in layers] == [torch.nn.Conv2d, torch.nn.Linear]
    assert all(torch.equal(weights[name], value) for name, value in layers.state_dict().items())


def test_changes_while_unpacked_are_kept() -> None:
    layer = torch.nn.Linear(64, 128).bfloat16().requires_grad_(False)
    pack(layer)
    with unpacked(layer):
        layer.weight.zero_()
        layer.bias.fill_(2)
    assert isinstance(layer, PackedLinear)
    assert (layer(torch.randn(2, 5, 64).bfloat16()) == 2).all()


def test_float32_layers_are_not_packed() -> None:
    layer = torch.nn.Linear(64, 128)
    pack(layer)
    assert type(layer) is torch.nn.Linear


LINES: dict[str, dict[str, Any]] = {
    "from noise": {},
    "another size, no guidance": {"width": 96, "guidance_scale": 1.0},
    "from a picture": {"init_image": "init", "strength": 0.6},
    "seamless": {"seamless": True},
    "after seamless": {"seed": 7},
    "a LoRA": {"prompt": "a fire withLora(blueprint)"},
    "after a LoRA": {"seed": 8},
    "--reuse": {"reuse": 2},
    "a swap": {"prompt": "a fire.swap(house)"},
    "a ControlNet": {"controls": "shown"},
}


def test_packed_weights_draw_the_same_bits(
    packed: DiffusionEngine, plain: DiffusionEngine, a_request: ARequest, init: Path, shown: Path
) -> None:
    """One after another on one model: changes to the networks are undone for the next line."""
    for name, changes in LINES.items():
        request = _request(a_request, changes, init, shown)
        assert image_of(packed, request) == image_of(plain, request), name


def test_packed_networks_need_no_more_memory(
    packed: DiffusionEngine, plain: DiffusionEngine, a_request: ARequest, init: Path, shown: Path
) -> None:
    for engine in (packed, plain):
        image_of(engine, _request(a_request, {}, init, shown))
    model, other = (engine._pool.model(str(POCKET)) for engine in (packed, plain))
    for part in (model.unet, model.vae, model.towers[0].text_encoder):
        kinds = [type(layer) for layer in part.modules()]
        assert {PackedConv2d, PackedLinear} & set(kinds)
        assert torch.nn.Conv2d not in kinds
    assert not any(isinstance(layer, PackedConv2d | PackedLinear) for layer in other.unet.modules())
    assert weight(model) == weight(other)


def test_a_decoder_that_overflows_decodes_in_float32(packed: DiffusionEngine, a_request: ARequest) -> None:
    image_of(packed, a_request(model=POCKET))
    model = packed._pool.model(str(POCKET))
    precisions: list[torch.dtype] = []

    def overflowing() -> torch.Tensor:
        precisions.append(next(model.vae.parameters()).dtype)
        decoded = model.decode(torch.zeros(1, 4, 8, 8))
        return decoded if precisions[-1] == torch.float32 else decoded * torch.inf

    assert finite(model.vae, overflowing) is not None
    assert precisions == [torch.bfloat16, torch.float32]
    assert PackedConv2d in [type(layer) for layer in model.vae.modules()]


def test_packed_weights_draw_the_same_bits_with_batch_size(
    packed: DiffusionEngine, plain: DiffusionEngine, a_request: ARequest
) -> None:
    requests = [a_request(model=POCKET, seed=seed, batch_size=2) for seed in (1, 2)]
    made: Callable[[DiffusionEngine], list[Any]] = lambda engine: [  # noqa: E731
        event.image
        for _, event in engine.generate_batch([(request, NO_PREVIEWS) for request in requests])
        if isinstance(event, Finished)
    ]
    assert made(packed) == made(plain)
    assert len(made(packed)) == 2


def _request(a_request: ARequest, changes: dict[str, Any], init: Path, shown: Path) -> Request:
    paths = {"init": str(init), "shown": str(shown)}
    found = {"model": POCKET, "steps": 3} | changes
    if "init_image" in found:
        found["init_image"] = paths[found["init_image"]]
    if "controls" in found:
        found["controls"] = ((str(DATA / "pocket-canny"), paths[found["controls"]], 1.0),)
    return a_request(**found)

"""The default precision of networks, and that they work together in it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from invoke.engine.components import compiler_choice, devices
from invoke.engine.components.devices import Placement, choose_placement
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import EngineError
from invoke.events import Finished, Loaded
from invoke.images import as_array
from invoke.models import ModelSpec, Registry, read_registry
from invoke.models.loadable import bytes_of_weights
from invoke.options import EngineOptions, Precision
from invoke.request import Request
from tests.engine.making import finished
from tests.making import ARequest


def _cpu(precision: Precision = "auto") -> Placement:
    return choose_placement(EngineOptions(device="cpu", precision=precision))


@pytest.fixture
def multiplies(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Whether this CPU has instructions for bfloat16."""
    return lambda does: monkeypatch.setattr(devices, "_multiplies_bfloat16", lambda: does)


def test_the_built_in_model_is_float32_everywhere(multiplies: Callable[[bool], None]) -> None:
    multiplies(True)
    pocket = read_registry().find("pocket")
    assert _cpu().for_size(bytes_of_weights(pocket)).dtype == torch.float32


@pytest.mark.parametrize(
    ("does", "precision", "dtype"),
    [
        (True, "auto", torch.bfloat16),
        (False, "auto", torch.float32),
        (True, "float32", torch.float32),
        (False, "bfloat16", torch.bfloat16),
    ],
)
def test_large_models_use_bfloat16_where_it_is_faster(
    multiplies: Callable[[bool], None], does: bool, precision: Precision, dtype: torch.dtype
) -> None:
    multiplies(does)
    place = _cpu(precision).for_size(2_000_000_000)
    assert place.dtype == dtype
    assert place.channels_last == (dtype == torch.bfloat16)


def _engine(monkeypatch: pytest.MonkeyPatch, large: int) -> DiffusionEngine:
    """An engine for which models of at least `large` bytes are large."""
    monkeypatch.setattr(devices, "_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(devices, "LARGE", large)
    return DiffusionEngine(Registry({}), EngineOptions(device="cpu"))


WAYS = ("words", "picture", "hole", "nine channels", "XL", "control", "together")


@pytest.fixture(params=WAYS)
def request_of(  # noqa: PLR0917 - what pictures are made from
    request: pytest.FixtureRequest,
    a_request: ARequest,
    init: Path,
    model_of: Callable[[int], Path],
    xl_of: Callable[[int], Path],
    net: str,
    shown: Path,
) -> Request:
    repaint_mask = {"init_image": init, "mask_image": shown, "strength": 0.8}
    changes = {
        "words": {},
        "picture": {"init_image": init, "strength": 0.6},
        "hole": repaint_mask,
        "nine channels": {**repaint_mask, "model": model_of(9)},
        "XL": {"model": xl_of(4)},
        "control": {"controls": ((net, str(shown), 1.0),)},
        "together": {"batch_size": 2},
    }[request.param]
    return a_request(**changes)


def test_pictures_in_bfloat16_are_close_to_float32(
    engine: DiffusionEngine, request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = finished(engine.generate(request_of))
    rounded = finished(_engine(monkeypatch, 1).generate(request_of))
    assert (exact.facts.dtype, rounded.facts.dtype) == ("float32", "bfloat16")
    difference = np.abs(as_array(exact.image).astype(int) - as_array(rounded.image))
    assert 0 < difference.mean() < 6


def test_a_small_controlnet_works_with_a_large_bfloat16_model(
    a_request: ARequest, folder: Path, net: str, shown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [bytes_of_weights(ModelSpec(name="one", weights=str(path))) for path in (folder, net)]
    engine = _engine(monkeypatch, sum(sizes) // 2)
    assert sizes[1] < sizes[0], "else this test shows nothing"
    *before, last = engine.generate(a_request(controls=((net, str(shown), 1.0),)))
    assert [event.dtype for event in before if isinstance(event, Loaded)] == ["bfloat16", "float32"]
    assert isinstance(last, Finished)


def test_events_and_place_name_the_precision(
    a_request: ARequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _engine(monkeypatch, 1)
    assert [event.dtype for event in engine.generate(a_request()) if isinstance(event, Loaded)] == ["bfloat16"]
    assert engine.place_of(str(folder)).dtype_name == "bfloat16"


def test_compiling_without_a_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, not only after loading and compiling."""
    monkeypatch.setattr(compiler_choice, "BACKENDS", ())
    with pytest.raises(EngineError, match="needs OpenVINO or a C\\+\\+ compiler") as raised:
        choose_placement(EngineOptions(device="cpu", compile=True))
    assert raised.value.code == "no_compiler"
    assert "invoke-shell[openvino]" in raised.value.hint

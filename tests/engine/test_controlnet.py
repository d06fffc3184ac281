"""What a ControlNet gets, and what is saved and recorded."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.events import Detected, Previews, Step
from invoke.images import prepare
from invoke.images.canny import canny
from invoke.models import Registry
from invoke.options import EngineOptions
from tests.engine.making import Array, disc, events, finished, loaded, make, pixels, save, scene, with_alpha
from tests.making import ARequest

# ruff: noqa: PLR0917 - filled in by pytest


def test_a_scale_of_0_equals_no_control(engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path) -> None:
    plain = make(engine, a_request())
    assert np.array_equal(make(engine, a_request(controls=((net, str(shown), 0.0),))), plain)
    assert not np.array_equal(make(engine, a_request(controls=((net, str(shown), 0.1),))), plain)


def test_a_control_picture_is_scaled_and_cropped_to_the_middle(
    engine: DiffusionEngine, a_request: ARequest, net: str, tmp_path: Path
) -> None:
    large = save(tmp_path / "large.png", scene(150, 120))
    fitted = save(tmp_path / "fitted.png", np.asarray(prepare(Image.open(large), 64, 64)))
    both = [make(engine, a_request(controls=((net, str(path), 1.0),))) for path in (large, fitted)]
    assert np.array_equal(*both)


def test_transparent_parts_of_a_control_picture_are_black(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, tmp_path: Path
) -> None:
    """White lines on transparency equal white lines on black."""
    lines = with_alpha(tmp_path / "lines.png", np.full((64, 64, 3), 255, np.uint8), np.where(disc(), 255, 0))
    both = [make(engine, a_request(controls=((net, str(path), 1.0),))) for path in (lines, shown)]
    assert np.array_equal(*both)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_auto_canny_uses_the_edges_of_the_init_picture(
    strength: float, engine: DiffusionEngine, a_request: ARequest, net: str, tmp_path: Path
) -> None:
    drawn = np.where(disc(90, 90, 30)[..., None], np.uint8([250, 90, 10]), np.uint8([10, 40, 90]))
    path = save(tmp_path / "drawn.png", drawn)
    edges = canny(np.asarray(prepare(Image.open(path), 64, 64)))
    named = save(tmp_path / "edges.png", np.dstack([edges] * 3))
    request = a_request(init_image=path, strength=strength, controls=((net, "auto:canny", 1.0),))
    happened = list(engine.generate(request, previews=Previews(1)))
    assert np.array_equal(
        pixels(happened),
        make(engine, a_request(init_image=path, strength=strength, controls=((net, str(named), 1.0),))),
    )
    detected = next(event for event in happened if isinstance(event, Detected))
    assert (detected.number, detected.image.data) == (1, np.dstack([edges] * 3).tobytes())
    assert not any(isinstance(event, Detected) for event in events(engine, request)), "only where steps are shown"


def test_auto_canny_ignores_the_rim_of_erased_colours(
    engine: DiffusionEngine, a_request: ARequest, net: str, tmp_path: Path
) -> None:
    picture = np.full((64, 64, 3), 200, np.uint8)
    picture[disc()] = 0
    path = with_alpha(tmp_path / "a.png", picture, np.where(disc(), 0, 255))
    request = a_request(init_image=path, controls=((net, "auto:canny", 1.0),))
    detected = next(e for e in engine.generate(request, previews=Previews(1)) if isinstance(e, Detected))
    assert not any(detected.image.data)


def test_outcrop_applies_control_to_the_whole_canvas(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path, init: Path
) -> None:
    for image in ("auto:canny", str(shown)):
        request = a_request(init_image=init, outcrop=("right", 32), controls=((net, image, 1.0),))
        made = make(engine, request)
        assert made.shape == (64, 96, 3)
        assert np.array_equal(made[:, :64], scene())


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_hires_fix_applies_control_in_both_passes(
    strength: float, engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path
) -> None:
    """At strength 0 only the small picture is drawn; the second pass is guided as well."""

    def drawn(scale: float) -> Array:
        return make(
            engine,
            a_request(width=128, height=128, hires_fix=True, strength=strength, controls=((net, str(shown), scale),)),
        )

    assert drawn(1.0).shape == (128, 128, 3)
    assert not np.array_equal(drawn(1.0), drawn(0.0))


def test_control_works_with_swapped_words(engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path) -> None:
    control = {"controls": ((net, str(shown), 1.0),)}
    plain, swapped = (make(engine, a_request(prompt=each, **control)) for each in ("a cat", "a cat.swap(fire)"))
    assert not np.array_equal(plain, swapped)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_control_works_in_half_precision(
    precision: Any, engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path
) -> None:
    half = DiffusionEngine(Registry({}), EngineOptions(device="cpu", precision=precision))
    request = a_request(controls=((net, str(shown), 1.0),))
    assert abs(make(half, request).astype(int) - make(engine, request)).mean() < 6


def test_a_controlnet_is_restored_after_a_seamless_picture(
    engine: DiffusionEngine, a_request: ARequest, net: str, shown: Path
) -> None:
    request = a_request(controls=((net, str(shown), 1.0),))
    before = make(engine, request)
    wrapped = make(engine, replace(request, seamless=True))
    assert not np.array_equal(wrapped, before)
    assert np.array_equal(make(engine, request), before)


# what is saved and recorded


def test_a_controlnet_is_loaded_once(a_request: ARequest, nets: list[str], shown: Path, other: Path) -> None:
    engine = DiffusionEngine(Registry({}))
    first, second = nets
    one = a_request(controls=((first, str(shown), 1.0), (first, str(other), 0.5)))
    both = a_request(controls=((second, str(shown), 1.0), (first, str(other), 0.5)))
    assert [loaded(events(engine, request)) for request in (one, one, both, both, one)] == [
        [one.model, first],
        [],
        [second],
        [],
        [],
    ]


def test_a_small_memory_budget_draws_the_same_picture(a_request: ARequest, nets: list[str], shown: Path) -> None:
    request = a_request(controls=tuple((net, str(shown), 0.5) for net in nets))
    little = DiffusionEngine(Registry({}), EngineOptions(max_memory=1e-6))
    made = [make(little, request) for _ in range(2)]
    assert np.array_equal(*made)
    assert np.array_equal(made[0], make(DiffusionEngine(Registry({})), request))


def test_facts_record_control_pictures_and_weights(
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


def test_an_aborted_picture_with_control_leaves_no_state(
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

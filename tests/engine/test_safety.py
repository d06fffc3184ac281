"""The safety checker: off by default; flagged pictures are blurred, with a note and a record."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError
from invoke.events import Postprocessing
from invoke.models import ModelSpec, Registry
from invoke.options import EngineOptions
from tests.engine.making import events, finished, make, notes, pixels
from tests.making import ARequest


def _detail(picture: np.ndarray) -> float:
    """How much neighbours differ, in levels."""
    return float(abs(np.diff(picture.astype(int), axis=1)).mean())


def _checker(folder: Path, *, objects: bool) -> Path:
    """The real network with few random weights and a limit that flags everything or nothing."""
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = small | {"image_size": 32, "patch_size": 16, "projection_dim": 16}
    torch.manual_seed(0)
    network = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, text_config=small, projection_dim=16))
    for limit in (network.concept_embeds_weights, network.special_care_embeds_weights):
        limit.data.fill_(-2.0 if objects else 2.0)
    network.save_pretrained(folder)
    return folder


def _engine(checker: Path, *, asked: bool = True) -> DiffusionEngine:
    spec = ModelSpec(name="safety-checker", weights=str(checker), kind="safety")
    return DiffusionEngine(Registry({spec.name: spec}), EngineOptions(safety_checker=asked))


def test_a_flagged_picture_is_blurred_with_a_note(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    happened = events(_engine(_checker(tmp_path, objects=True)), a_request())
    assert any("the safety checker flagged" in note for note in notes(happened))
    assert "safety_checker" in finished(happened).facts.hashes
    plain = make(engine, a_request())
    assert _detail(pixels(happened)) < _detail(plain) / 5


def test_an_unflagged_picture_is_unchanged(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    happened = events(_engine(_checker(tmp_path, objects=False)), a_request())
    assert not notes(happened)
    assert np.array_equal(pixels(happened), make(engine, a_request()))


def test_the_safety_checker_is_off_by_default(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    happened = events(_engine(_checker(tmp_path, objects=True), asked=False), a_request())
    assert np.array_equal(pixels(happened), make(engine, a_request()))
    assert "safety_checker" not in finished(happened).facts.hashes


def test_an_enlarged_picture_is_also_checked_before_enlarging(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    happened = events(_engine(_checker(tmp_path, objects=True)), a_request(upscale=(2.0, 0.0)))
    (drawn,) = (
        np.frombuffer(event.picture.image.data, np.uint8) for event in happened if isinstance(event, Postprocessing)
    )
    plain = make(engine, a_request())
    assert _detail(drawn.reshape(plain.shape)) < _detail(plain) / 5
    assert _detail(pixels(happened)) < _detail(plain) / 5


def test_without_a_safety_checker_model_nothing_is_made(a_request: ARequest, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="safety-checker"):
        events(_engine(tmp_path / "nowhere"), a_request())

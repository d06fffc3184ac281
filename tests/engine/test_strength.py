"""Strength 0 keeps the original, 1 ignores it, and values in between mix."""

from pathlib import Path

import numpy as np
import pytest

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError
from invoke.events import Step
from invoke.images import open_picture, prepare
from invoke.models import Kind, ModelSpec, Registry
from tests.engine.making import disc, events, finished, make, notes, pixels, save, scene, started, with_alpha
from tests.making import ARequest


class NoModels:
    """Fails if a model is requested."""

    def find(self, name: str, kind: Kind = "model") -> ModelSpec:
        raise ModelError(name)


@pytest.mark.parametrize("size", [(64, 64), (71, 65), (300, 41), (8, 8)])
@pytest.mark.parametrize("transparent", [False, True])
def test_strength_0_gives_the_prepared_original_without_a_model(
    size: tuple[int, int], transparent: bool, a_request: ARequest, tmp_path: Path
) -> None:
    alpha = np.where(disc(*size, radius=3), 0, 255) if transparent else np.full(size[::-1], 255)
    path = with_alpha(tmp_path / "a.png", scene(*size), alpha)
    request = a_request(init_image=path, strength=0.0, model="none")
    happened = events(DiffusionEngine(NoModels()), request)
    picture = open_picture(path)
    expected = prepare(picture.image, 64, 64, picture.alpha)
    assert pixels(happened).tolist() == np.asarray(expected).tolist()
    assert started(happened).total == finished(happened).facts.steps_taken == 0
    assert finished(happened).facts.painted == 0
    assert not [event for event in happened if isinstance(event, Step)]


@pytest.mark.parametrize("sampler", ["k_lms", "k_euler_a", "plms", "ddim", "k_dpm_2", "lcm"])
def test_strength_1_gives_the_text_to_image_picture(
    sampler: str, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from invoke.engine.families import stable_diffusion

    monkeypatch.setattr(stable_diffusion, "encode_pixels", lambda *parts: pytest.fail("the original was encoded"))
    path = save(tmp_path / "a.png", scene(90, 70))
    happened = events(engine, a_request(init_image=path, strength=1.0, scheduler=sampler))
    assert pixels(happened).tolist() == make(engine, a_request(scheduler=sampler)).tolist()
    assert started(happened).mode == "img2img"


def test_a_nine_channel_unet_draws_without_a_hole(
    engine: DiffusionEngine, a_request: ARequest, inpainting_folder: Path, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.png", scene())
    whole = make(engine, a_request(model=inpainting_folder))
    assert make(engine, a_request(model=inpainting_folder, init_image=path, strength=1.0)).tolist() == whole.tolist()
    assert make(engine, a_request(model=inpainting_folder, init_image=path)).tolist() != whole.tolist()


@pytest.mark.parametrize(
    ("steps", "strength", "sampler", "calls"),
    [
        (10, 0.7, "k_lms", 7),
        (10, 0.4, "k_lms", 4),
        (50, 0.4, "ddim", 20),
        (100, 0.29, "k_euler", 29),
        (10, 0.7, "k_heun", 13),
        (10, 0.7, "plms", 8),
        (10, 0.01, "k_lms", 1),
        (10, 0.01, "plms", 1),
    ],
)
def test_the_planned_number_of_steps_is_taken(  # noqa: PLR0917 - filled in by pytest
    steps: int, strength: float, sampler: str, calls: int, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.png", scene())
    happened = events(engine, a_request(init_image=path, steps=steps, strength=strength, scheduler=sampler))
    assert started(happened).total == finished(happened).facts.steps_taken == calls
    assert [event.index for event in happened if isinstance(event, Step)] == list(range(calls + 1))


def test_seed_and_variations_change_an_image_to_image_picture(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.png", scene())
    one, again, varied, far = (
        make(engine, a_request(init_image=path, variations=variations))
        for variations in ((), (), ((7, 0.1),), ((7, 0.9),))
    )
    assert one.tolist() == again.tolist()
    assert 0 < np.abs(one.astype(int) - varied).mean() < np.abs(one.astype(int) - far).mean()


def test_an_unusable_init_picture_is_refused_before_loading(a_request: ARequest) -> None:
    with pytest.raises(Exception, match=r"nowhere\.png: there is no such picture"):
        events(DiffusionEngine(NoModels()), a_request(init_image="nowhere.png"))


def test_a_plain_picture_gets_no_note(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    happened = events(engine, a_request(init_image=save(tmp_path / "a.png", scene())))
    assert notes(happened) == []
    assert Registry({}).names == ()

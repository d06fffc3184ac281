"""Chains in the engine: what is passed on, and that results do not depend on how a chain is made."""

from pathlib import Path

import numpy as np
import pytest
import torch

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.families.stable_diffusion import StableDiffusion
from invoke.engine.pipeline.chains import HANDED_ON
from invoke.events import Loading, Started, Step
from invoke.models import Registry
from tests import tiny
from tests.engine.making import disc, events, make, notes, save, scene
from tests.making import ARequest
from tests.tiny_xl import xl_components, xl_index


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Record every encoded picture."""
    seen: list[torch.Tensor] = []
    encode = StableDiffusion.encode
    monkeypatch.setattr(StableDiffusion, "encode", lambda self, x: seen.append(x) or encode(self, x))
    return seen


def test_latents_are_passed_on_between_parts_with_the_same_vae(
    a_request: ARequest, tmp_path: Path, encoded: list[torch.Tensor]
) -> None:
    twin = tiny.save_folder(tmp_path / "twin", tiny.components())  # other files, the same VAE
    engine = DiffusionEngine(Registry({}))
    first = a_request()
    for model in (first.model, twin):
        happened = events(engine, a_request(model=model, init_image=first, seed=7))
        assert HANDED_ON in notes(happened)
    assert encoded == []


@pytest.mark.parametrize(
    "changes",
    [{"width": 72}, {"outcrop": ("right", 16)}, {"init_color": "scene"}, {"model": "other"}],
    ids=["another size", "a larger canvas", "changed colours before", "another VAE"],
)
def test_with_another_vae_the_picture_is_encoded_again(
    changes: dict[str, object], a_request: ARequest, tmp_path: Path, encoded: list[torch.Tensor]
) -> None:
    changes = dict(changes)
    first = a_request()
    if changes.pop("init_color", None):
        first = a_request(init_color=save(tmp_path / "colours.png", scene()))
    if changes.get("model"):
        changes["model"] = tiny.save_folder(tmp_path / "other", tiny.components(seed=5))
    happened = events(DiffusionEngine(Registry({})), a_request(init_image=first, **changes))
    assert HANDED_ON not in notes(happened)
    assert len(encoded) == 1


def test_a_chain_draws_the_same_alone_and_after_its_first_part(a_request: ARequest) -> None:
    first = a_request(seed=3)
    second = a_request(init_image=first, strength=0.6)
    third = a_request(init_image=second, strength=0.5, seed=9)
    one_by_one = DiffusionEngine(Registry({}))
    along = [make(one_by_one, request) for request in (first, second, third)]
    assert np.array_equal(make(DiffusionEngine(Registry({})), third), along[2])
    assert len({picture.tobytes() for picture in along}) == 3


def test_the_previous_part_is_made_once_without_events(a_request: ARequest) -> None:
    first = a_request(seed=3)
    happened = events(DiffusionEngine(Registry({})), a_request(init_image=first, strength=0.5))
    assert sum(isinstance(event, Started) for event in happened) == 1
    assert [event.index for event in happened if isinstance(event, Step)] == [0, 1, 2]
    assert sum(isinstance(event, Loading) for event in happened) == 1


def test_strength_0_keeps_the_previous_picture_and_1_ignores_it(a_request: ARequest) -> None:
    engine = DiffusionEngine(Registry({}))
    first = a_request(seed=3)
    assert np.array_equal(make(engine, a_request(init_image=first, strength=0.0)), make(engine, first))
    assert np.array_equal(make(engine, a_request(init_image=first, strength=1.0)), make(engine, a_request()))


def test_a_mask_keeps_the_previous_picture(a_request: ARequest, tmp_path: Path) -> None:
    engine = DiffusionEngine(Registry({}))
    keep = save(tmp_path / "mask.png", np.where(disc()[..., None], 0, 255).repeat(3, -1).astype(np.uint8))
    first = a_request(seed=3)
    painted = make(engine, a_request(init_image=first, mask_image=keep, mask_blur=0))
    assert np.array_equal(painted[~disc()], make(engine, first)[~disc()])
    assert not np.array_equal(painted[disc()], make(engine, first)[disc()])


def test_a_chain_of_three_parts_across_two_families(a_request: ARequest, tmp_path: Path) -> None:
    xl = tiny.save_folder(tmp_path / "xl", xl_components(), xl_index())
    first = a_request(seed=1)
    second = a_request(model=xl, init_image=first, strength=0.5)
    third = a_request(init_image=second, strength=0.5)
    engine = DiffusionEngine(Registry({}))
    pictures = [make(engine, request) for request in (first, second, third)]
    assert len({picture.tobytes() for picture in pictures}) == 3
    assert np.array_equal(make(DiffusionEngine(Registry({})), third), pictures[2])

"""A file replaced while the program runs is read again: no cache entry outlives its file."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.models import ModelSpec, Registry
from tests import tiny
from tests.engine.making import disc, make, save, scene, with_alpha
from tests.engine.test_adapters import _lora as save_lora
from tests.making import ARequest


def test_replacing_the_init_picture_redraws_all_parts_of_a_chain(a_request: ARequest, tmp_path: Path) -> None:
    """L14: part 1 was new, and part 2 the old picture."""
    engine, path = DiffusionEngine(Registry({})), save(tmp_path / "a.png", scene())
    first = a_request(init_image=path, strength=0.5)
    second = a_request(init_image=first, strength=0.5, seed=7)
    old = [make(engine, request) for request in (first, second)]
    save(path, np.flip(scene(), axis=1))
    new = [make(engine, request) for request in (first, second)]
    fresh = DiffusionEngine(Registry({}))
    assert [np.array_equal(*pair) for pair in zip(new, [make(fresh, each) for each in (first, second)], strict=True)]
    assert not any(np.array_equal(*pair) for pair in zip(old, new, strict=True))


@pytest.mark.parametrize("name", ["init_image", "mask_image", "init_color"])
def test_replacing_any_picture_of_an_earlier_part_redraws_it(name: str, a_request: ARequest, tmp_path: Path) -> None:
    engine = DiffusionEngine(Registry({}))
    given = {"init_image": save(tmp_path / "a.png", scene())}
    given |= (
        {name: with_alpha(tmp_path / f"{name}.png", scene(), np.where(disc(), 0, 255))} if name != "init_image" else {}
    )
    second = a_request(init_image=a_request(strength=0.5, **given), strength=0.5, seed=7)
    old = make(engine, second)
    with_alpha(given[name], 255 - scene(), np.where(disc(radius=9), 0, 255))
    new = make(engine, second)
    assert not np.array_equal(old, new)
    assert np.array_equal(new, make(DiffusionEngine(Registry({})), second))


def test_a_replaced_model_is_loaded_again(a_request: ARequest, tmp_path: Path) -> None:
    engine, folder = DiffusionEngine(Registry({})), tiny.save_folder(tmp_path / "model", tiny.components())
    init = save(tmp_path / "a.png", scene())
    requests = [a_request(model=folder), a_request(model=folder, init_image=init, strength=0.5)]
    requests.append(a_request(model=folder, init_image=requests[0], strength=0.5))
    old = [make(engine, request) for request in requests]
    other = tiny.save_folder(tmp_path / "other", tiny.components(seed=5))
    for part in ("unet", "vae"):
        shutil.copytree(other / part, folder / part, dirs_exist_ok=True)
    new = [make(engine, request) for request in requests]
    fresh = DiffusionEngine(Registry({}))
    for before, after, right in zip(old, new, [make(fresh, request) for request in requests], strict=True):
        assert np.array_equal(after, right)
        assert not np.array_equal(before, after)


def test_a_replaced_lora_is_read_again(a_request: ARequest, tmp_path: Path) -> None:
    pipeline = "StableDiffusionPipeline"
    lora = save_lora(tmp_path, tiny.components(), pipeline, seed=1)
    other = save_lora(tmp_path / "b", tiny.components(), pipeline, seed=2)
    models = Registry({"wood": ModelSpec(name="wood", weights=str(lora), kind="lora")})
    engine, first = DiffusionEngine(models), a_request(prompt="a fire withLora(wood,1)")
    second = a_request(init_image=first, strength=0.5)
    old = [make(engine, request) for request in (first, second)]
    shutil.copytree(other, lora, dirs_exist_ok=True) if lora.is_dir() else shutil.copy(other, lora)
    new, fresh = [make(engine, request) for request in (first, second)], DiffusionEngine(models)
    for before, after, right in zip(old, new, [make(fresh, request) for request in (first, second)], strict=True):
        assert np.array_equal(after, right)
        assert not np.array_equal(before, after)

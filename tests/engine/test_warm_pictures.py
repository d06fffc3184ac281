"""A warm engine draws the same as a fresh one, whatever it has drawn before and for whom."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.process.remote import RemoteEngine
from invoke.errors import ModelError
from invoke.events import Loading, Pixels
from invoke.models import ModelSpec, Registry
from invoke.models.recognise import recognise_folder
from invoke.options import EngineOptions
from invoke.request import Request
from tests import tiny
from tests.engine.making import finished, image_of, save, scene
from tests.engine.test_adapters import _lora as save_lora
from tests.making import ARequest
from tests.patience import until
from tests.warmth import engines_at, waiting

LORAS = Registry({"wood": ModelSpec(name="wood", weights="wood", kind="lora")})


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("warm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        with engines_at(home, patch):
            yield home


@pytest.fixture(autouse=True)
def _warm(home: Path, shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One engine for all tests."""
    for name in ("HOME", *(f"XDG_{name}_HOME" for name in ("CONFIG", "STATE", "CACHE", "DATA"))):
        monkeypatch.setenv(name, str(shared_home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared_home / "run"))


NONE = Registry({})
ENGINES: list[int] = []
"""Process numbers, in the order of the pictures."""


def _warmly(request: Request, models: Registry = NONE) -> tuple[Pixels, bool]:
    """The picture of a separate program, and whether a model was loaded for it."""
    with closing(RemoteEngine(models, EngineOptions(device="cpu"), warmth=60.0)) as engine:
        happened = list(engine.generate(request))
        assert engine._process is not None
        ENGINES.append(engine._process.pid)
    until(waiting)
    return finished(happened).image, any(isinstance(event, Loading) for event in happened)


def _freshly(request: Request, models: Registry = NONE) -> Pixels:
    return image_of(DiffusionEngine(models, EngineOptions(device="cpu")), request)


def test_a_warm_engine_draws_the_same_as_a_fresh_one(a_request: ARequest, tmp_path: Path) -> None:
    init = save(tmp_path / "init.png", scene())
    requests = [a_request(), a_request(init_image=init, strength=0.5), a_request(seed=3), a_request()]
    warm = [_warmly(request) for request in requests]
    assert [image for image, _ in warm] == [_freshly(request) for request in requests]
    assert [was_loaded for _, was_loaded in warm] == [True, False, False, False]
    assert len(set(ENGINES)) == 1


def test_equal_relative_names_in_two_folders_are_distinct(
    a_request: ARequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "a", tmp_path / "b"]
    for seed, place in enumerate(places):
        tiny.save_folder(place / "model", tiny.components(seed=seed))
        save(place / "init.png", scene() if seed else 255 - scene())
        shutil.copytree(save_lora(place, tiny.components(), "StableDiffusionPipeline", seed=seed), place / "wood")
        for path in place.rglob("*"):
            os.utime(path, ns=(10**18, 10**18))  # of equal age and size
    request = a_request(
        model="model", prompt="a fire withLora(wood,1)", init_image="init.png", strength=0.5, width=64, height=64
    )
    made = []
    for place in (*places, *places):
        monkeypatch.chdir(place)
        made.append(_warmly(request, LORAS)[0])
        assert made[-1] == _freshly(request, LORAS)
    assert made[0] == made[2] != made[1] == made[3]
    assert len(set(ENGINES)) == 1


def test_recognised_models_are_not_shared_between_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"ControlNetModel": "controlnet", "AutoencoderKL": "vae"}
    engine = DiffusionEngine(Registry({}), EngineOptions(device="cpu"))
    for name, kind in kinds.items():
        file = tmp_path / name / "model" / "config.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"_class_name": name, "block_out_channels": [32], "cross_attention_dim": 32}))
        os.utime(file, ns=(10**18, 10**18))
        monkeypatch.chdir(tmp_path / name)
        engine.forget()
        assert recognise_folder("model", Path("model")).kind == kind


def test_files_replaced_between_two_programs_are_read_again(
    a_request: ARequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = a_request(model="model", prompt="a fire withLora(wood,1)", init_image="init.png", strength=0.5)
    made = []
    for seed in (1, 2):
        tiny.save_folder(tmp_path / "model", tiny.components(seed=seed))
        save(tmp_path / "init.png", scene() if seed == 1 else 255 - scene())
        lora = save_lora(tmp_path, tiny.components(), "StableDiffusionPipeline", seed=seed)
        shutil.copytree(lora, tmp_path / "wood", dirs_exist_ok=True)
        made.append(_warmly(request, LORAS)[0])
        assert made[-1] == _freshly(request, LORAS)
    assert made[0] != made[1]
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(ModelError, match="model"):
        _warmly(request, LORAS)

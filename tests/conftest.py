"""Every test has a home of its own; the engine is real, its model tiny."""

import gc
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: for tiny models threads only wait for each other

from tests import preloaded
from tests.batches import Batches
from tests.hub import Hub, serving
from tests.studio import Studio

settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not look through it whenever a model is given back."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    preloaded.stop()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that no other test has seen, without terminal, colours or network."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)  # where engines of the developer's may wait
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # in this process, where the library has looked at the environment already
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache" / "huggingface" / "hub"))
    return folder


@pytest.fixture
def preloaded_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines' processes that are started within a test are forks of one that has imported torch."""
    for name, value in preloaded.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion model with random weights, 64×64, in diffusers layout."""
    from tests import tiny

    return tiny.save_folder(tmp_path_factory.mktemp("models") / "tiny", tiny.components())


@pytest.fixture(scope="session")
def upscalers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of models in which `-U 2` and `-U 4` mean tiny upscalers, which lie beside it in `x2` and `x4`."""
    from tests import tiny_upscalers

    folder = tmp_path_factory.mktemp("upscalers")
    tiny_upscalers.save(folder / "x2", tiny_upscalers.latent_upscaler())
    tiny_upscalers.save(folder / "x4", tiny_upscalers.super_resolution())
    rows = [f"upscaler-{name}: {{weights: {folder / name}, kind: upscaler, family: auto}}" for name in ("x2", "x4")]
    (folder / "models.yaml").write_text("\n".join(rows), encoding="utf-8")
    return folder / "models.yaml"


@pytest.fixture
def batches(tmp_path: Path) -> Batches:
    """Batches on an engine that makes no real pictures, writing to a folder of their own."""
    return Batches(tmp_path / "out")


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has the tiny model as `some/model`."""
    (tmp_path / "hub" / "some").mkdir(parents=True)
    (tmp_path / "hub" / "some" / "model").symlink_to(tiny_model)
    with serving(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.delenv("HF_HUB_OFFLINE")
        yield hub


@pytest.fixture
def studio(tiny_model: Path, tmp_path: Path) -> Iterator[Studio]:
    """A sitting in this process with the tiny model, writing to a folder of its own."""
    studio = Studio(tiny_model, tmp_path / "outputs")
    with closing(studio.session.engine):
        yield studio

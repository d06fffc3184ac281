"""Tiny models on disk, and a request to start from."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # warnings of libraries at import
    import diffusers
    import transformers

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.models import Registry
from invoke.request import Request
from tests import making, tiny
from tests.engine.making import disc, save, scene
from tests.tiny_control import controlnet, save_controlnet
from tests.tiny_xl import xl_components, xl_index


@pytest.fixture(scope="session", autouse=True)
def _no_bars() -> None:
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network; the hub's cache is empty in every test."""

    def refuse(*target: Any, **options: Any) -> Any:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.fixture
def posterior_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' pipelines take the mode of the VAE's posterior, as our engine does."""
    kind = diffusers.models.autoencoders.vae.DiagonalGaussianDistribution
    monkeypatch.setattr(kind, "sample", lambda self, generator=None: self.mode())


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion 1 in diffusers layout."""
    return tiny.save_folder(tmp_path_factory.mktemp("models") / "tiny", tiny.components())


@pytest.fixture(scope="session")
def inpainting_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose UNet has nine channels."""
    return tiny.save_folder(tmp_path_factory.mktemp("models") / "tiny9", tiny.components(channels=9))


@pytest.fixture(scope="session")
def model_of(folder: Path, inpainting_folder: Path) -> Callable[[int], Path]:
    """The tiny model whose UNet has so many channels."""
    return {4: folder, 9: inpainting_folder}.__getitem__


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two ControlNets for the tiny Stable Diffusion 1."""
    unet, place = tiny.components()["unet"], tmp_path_factory.mktemp("control")
    return [str(save_controlnet(place / f"net{seed}", controlnet(unet, seed=seed))) for seed in (0, 1)]


@pytest.fixture(scope="session")
def net(nets: list[str]) -> str:
    """One of the two ControlNets."""
    return nets[0]


@pytest.fixture(scope="session")
def xl_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The tiny Stable Diffusion XL whose UNet has so many channels."""
    place = tmp_path_factory.mktemp("xl")
    made = {each: tiny.save_folder(place / str(each), xl_components(channels=each), xl_index()) for each in (4, 9)}
    return made.__getitem__


@pytest.fixture(scope="session")
def xl_net(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ControlNet for it."""
    return str(save_controlnet(tmp_path_factory.mktemp("control") / "xl", controlnet(xl_components()["unet"])))


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control picture: a white disc."""
    return save(tmp_path_factory.mktemp("pictures") / "disc.png", np.dstack([disc().astype(np.uint8) * 255] * 3))


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one."""
    return save(tmp_path_factory.mktemp("pictures") / "stripes.png", scene())


@pytest.fixture(scope="session")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture to start from."""
    return save(tmp_path_factory.mktemp("pictures") / "init.png", scene())


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[DiffusionEngine]:
    engine = DiffusionEngine(Registry({}))
    yield engine
    engine.close()


@pytest.fixture
def engine(shared_engine: DiffusionEngine) -> DiffusionEngine:
    return shared_engine


@pytest.fixture
def a_request(folder: Path) -> making.ARequest:
    """A request for the tiny model: `a_request(seed=7)`."""

    def make(**changes: Any) -> Request:
        tiny_one = {"model": folder, "width": 64, "height": 64, "steps": 4, "scheduler": "k_euler"}
        changed = {"prompt": "a fire"} | tiny_one | changes
        return making.a_request(
            **{key: str(value) if isinstance(value, Path) else value for key, value in changed.items()}
        )

    return make

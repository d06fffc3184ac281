"""Every test has its own home folder; the engine is real, its model tiny."""

import gc
import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

os.environ["OMP_NUM_THREADS"] = "1"  # before importing torch: with tiny models, threads only wait for each other

from tests import preloaded
from tests.batches import Batches
from tests.hub import Hub, serving
from tests.studio import Studio

# a machine that stalls is no fault
usual: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    "max_examples": int(os.environ.get("EXAMPLES", "100")),
}
settings.register_profile("project", **usual, derandomize=True)
settings.register_profile("random", **usual, print_blob=True)
settings.register_profile("quick", **usual, derandomize=True, phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("LAWS", "project"))
"""Laws try the same in every run; others with LAWS=random. LAWS=quick does not look for the smallest failure."""


SLOW = re.compile(
    r"""
    torture/ | training/ | workers/ | engine/postprocess/ | cli/test_killed | cli/test_piped | cli/test_resume |
    commands/test_fix | commands/test_mask | models/test_downloads | shell/test_queue_shell | shell/test_screen |
    test_adapters | test_auto\.py | test_control | test_recorded | test_hub | test_kandinsky | test_levers |
    test_loading | test_lora_layouts | test_batching | test_editors | test_model_pool | test_packing | test_pairs |
    test_strength_map | shell/test_models | test_prompt_to_prompt | test_previews\.py | test_replaced | test_stock |
    test_single_files | test_text_masks | test_worker | test_xl | test_api | test_benchmarks | test_examples |
    test_faces | test_families | test_made_by | test_pocket | test_program | test_promises | test_saved_lines |
    test_prompt_effects | test_resume_files | test_seams | test_surroundings | test_upscaling | test_ip_adapter
    | test_warm | test_spandrel
    """,
    re.VERBOSE,
)
"""Parts of the paths of modules that take more than some four seconds each: `make test-fast` goes without them."""


def pytest_configure() -> None:
    """Signals do what they do for a program in the foreground; one that a shell has put aside would ignore them."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = str(item.path.relative_to(Path(__file__).parent))
        if SLOW.search(path):
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not look through it whenever a model is given back."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    preloaded.stop()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home folder, without terminal, colours or network."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)  # where the developer's engines may wait
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # in this process, where the library has already read the environment
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache" / "huggingface" / "hub"))
    return folder


@pytest.fixture
def preloaded_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engine processes started in a test are forked from one that has imported torch."""
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
    """A session in this process with the tiny model, writing to its own folder."""
    studio = Studio(tiny_model, tmp_path / "outputs")
    with closing(studio.session.engine):
        yield studio

"""Downloads: confirmed, reported, stopped, resumed and refused. The hub runs on this machine."""

import socket
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import psutil
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.process.remote import RemoteEngine
from invoke.errors import ModelError
from invoke.events import Downloading, DownloadRequired, Finished, Loaded, Loading
from invoke.models import ModelSpec, Registry
from invoke.models.hub.cache import Address, hub_address, is_on_disk, located
from invoke.models.hub.download import fetch
from invoke.models.hub.inspect_process import Inspect
from invoke.models.hub.repository import ask, choose
from invoke.models.spec import Kind
from invoke.options import EngineOptions
from invoke.processes import ask_child
from tests import tiny
from tests.hub import Hub
from tests.making import ARequest

FAR = ModelSpec(name="far", weights="some/model", licence="a licence")
LISTED = Registry({"far": FAR})


def test_a_model_is_confirmed_then_downloaded_once(hub: Hub) -> None:
    happened = list(fetch(FAR, offline=False))
    assert [event for event in happened if isinstance(event, DownloadRequired)] == [
        DownloadRequired("far", 1, "a licence")
    ]
    assert is_on_disk(FAR)
    assert sorted(hub.fetched(".safetensors")) == [
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    asked = len(hub.asked)
    assert list(fetch(FAR, offline=False)) == []
    assert len(hub.asked) == asked


def test_stopping_at_the_question_downloads_nothing(hub: Hub) -> None:
    with closing(fetch(FAR, offline=False)) as events:
        assert any(isinstance(event, DownloadRequired) for event in events)
    assert hub.fetched(".safetensors") == []
    assert not is_on_disk(FAR)


def test_a_stopped_download_is_resumed(hub: Hub, home: Path) -> None:
    (hub.root / "some" / "lora").mkdir()
    file = hub.root / "some" / "lora" / "large.safetensors"
    save_file({"unet.x.lora_A.weight": torch.rand(3, 4_000_000)}, file)
    large = ModelSpec(name="large", weights="some/lora/large.safetensors", kind="lora")
    hub.stuck.add(file.name)
    with closing(fetch(large, offline=False)) as events:
        # the library reports each 10 MB before it writes them: the first are there when the second are reported
        how_far = next(event for event in events if isinstance(event, Downloading) and event.done_mb > 15)
    assert how_far.done_mb < how_far.total_mb == pytest.approx(48, abs=0.1)
    assert not is_on_disk(large)
    hub.stuck.clear()
    (begun,) = (path.stat().st_size for path in home.rglob("*.incomplete"))
    list(fetch(large, offline=False))
    assert hub.starts == [0, begun]
    assert begun > 0
    assert located(large.weights).read_bytes() == file.read_bytes()  # type: ignore[union-attr]
    assert not list(home.rglob("*.incomplete"))


def test_a_damaged_download_is_deleted_with_an_error(hub: Hub, home: Path) -> None:
    (hub.root / "some" / "lora").mkdir()
    file = hub.root / "some" / "lora" / "large.safetensors"
    save_file({"unet.x.lora_A.weight": torch.rand(2, 2_000_000)}, file)
    large = ModelSpec(name="large", weights="some/lora/large.safetensors", kind="lora")
    blobs = home / "cache" / "huggingface" / "hub" / "models--some--lora" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{sha256(file.read_bytes()).hexdigest()}.incomplete").write_bytes(b"x" * 1000)
    with pytest.raises(ModelError, match="was damaged in transit and has been deleted: try again"):
        list(fetch(large, offline=False))
    assert not is_on_disk(large)
    list(fetch(large, offline=False))
    assert is_on_disk(large)


@pytest.mark.parametrize(
    ("weights", "sentence", "step"),
    [
        ("some/gated", "its licence must be accepted first", "hf auth login"),
        ("some/nothing", "the hub has no model some/nothing, or it is private", "check the spelling"),
        ("some/model/x.safetensors", "some/model has no file x.safetensors", ""),
        ("some/pickles", "the weights of its unet are not safetensors files", "newer version"),
    ],
)
def test_refusals_of_the_hub_are_one_error(hub: Hub, tiny_model: Path, weights: str, sentence: str, step: str) -> None:
    hub.gated.add("some/gated")
    (hub.root / "some" / "gated").symlink_to(tiny_model)
    (hub.root / "some" / "pickles").mkdir()
    (hub.root / "some" / "pickles" / "model_index.json").write_text((tiny_model / "model_index.json").read_text())
    with pytest.raises(ModelError, match=sentence) as caught:
        list(fetch(ModelSpec(name="far", weights=weights), offline=False))
    assert step in caught.value.hint


def test_offline_sends_no_request(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="cannot be downloaded while offline") as caught:
        list(fetch(FAR, offline=True))
    assert "--offline" in caught.value.hint
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="cannot be downloaded while offline"):
        list(fetch(FAR, offline=False))
    assert hub.asked == []


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("model", "kept, and -m pocket works without one"),
        ("upscaler", "kept, and -U 2 0 scales without a model"),
        ("text-mask", "kept, and -M takes a mask that you drew yourself"),
        ("lora", "kept"),
    ],
)
def test_an_unreachable_hub_is_one_error(kind: Kind, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="the hub is unreachable") as caught:
        list(fetch(replace(FAR, kind=kind), offline=False))
    assert caught.value.hint.endswith(hint)


def test_a_hub_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.1)
        with pytest.raises(ModelError, match="the hub is unreachable"):
            ask("silent", Address("owner/name"))


def test_a_kandinsky_model_is_downloaded_with_its_prior(hub: Hub, tiny_model: Path) -> None:
    (hub.root / "some" / "prior").symlink_to(tiny_model)
    both = ModelSpec(name="far", weights="some/model", prior="some/prior")
    one, two = (_megabytes(spec) for spec in (FAR, both))
    assert two == pytest.approx(2 * one, abs=1)
    assert is_on_disk(both)


def _megabytes(spec: ModelSpec) -> int:
    return next(event.megabytes for event in list(fetch(spec, offline=False)) if isinstance(event, DownloadRequired))


# in the engine


def test_a_line_downloads_loads_and_draws(hub: Hub, a_request: ARequest) -> None:
    engine = DiffusionEngine(LISTED, EngineOptions(device="cpu"))
    with closing(engine):
        output = [
            event for event in engine.generate(a_request(model="far", steps=1)) if not isinstance(event, Downloading)
        ]
    assert [type(event) for event in output[:3]] == [DownloadRequired, Loading, Loaded]
    assert isinstance(output[-1], Finished)


def test_adapters_are_downloaded_before_drawing(hub: Hub, a_request: ARequest, folder: Path) -> None:
    (hub.root / "some" / "lora").mkdir()
    save_file({"unet.x.lora_A.weight": torch.zeros(2, 2)}, hub.root / "some" / "lora" / "fire.safetensors")
    fire = ModelSpec(name="fire", weights="some/lora/fire.safetensors", kind="lora")
    asked = []
    with closing(DiffusionEngine(Registry({"far": FAR, "fire": fire}), EngineOptions(device="cpu"))) as engine:
        for request in (a_request(prompt="a cat withLora(fire,1)"), a_request(refiner=("far", 0.5))):
            with closing(engine.generate(request)) as events:
                asked.append(next(event.model for event in events if isinstance(event, DownloadRequired)))
    assert asked == ["fire", "far"]


@pytest.mark.usefixtures("preloaded_engines")
def test_the_worker_waits_for_the_answer(hub: Hub, a_request: ARequest) -> None:
    engine = RemoteEngine(LISTED, EngineOptions(device="cpu"))
    with closing(engine):
        with closing(engine.generate(a_request(model="far", steps=1))) as events:
            assert any(isinstance(event, DownloadRequired) for event in events)
            assert hub.fetched(".safetensors") == []
        happened = list(engine.generate(a_request(model="far", steps=1)))
    assert isinstance(happened[-1], Finished)


@pytest.mark.usefixtures("preloaded_engines")
def test_a_hanging_download_is_aborted_and_the_engine_continues(hub: Hub, folder: Path, a_request: ARequest) -> None:
    hub.stuck.add("unet/diffusion_pytorch_model.safetensors")
    engine = RemoteEngine(LISTED, EngineOptions(device="cpu"))
    with closing(engine):
        before = list(engine.generate(a_request(model=str(folder), steps=1)))[-1]
        with closing(engine.generate(a_request(model="far", steps=1))) as events:
            assert any(isinstance(event, Downloading) and hub.sent for event in events)
        assert str(engine.state).startswith("downloading far: ")
        after = list(engine.generate(a_request(model=str(folder), steps=1)))[-1]
        assert str(engine.state).startswith(f"ready: {folder}")
    assert isinstance(before, Finished)
    assert isinstance(after, Finished)
    assert after.image == before.image


def test_loading_in_the_background_downloads_nothing(hub: Hub) -> None:
    engine = DiffusionEngine(LISTED, EngineOptions(device="cpu"))
    with closing(engine), pytest.raises(ModelError, match="far: this model has not been downloaded yet"):
        engine.load("far")
    assert hub.asked == []


def test_a_single_file_downloads_only_the_configs_of_its_entry(
    hub: Hub, a_request: ARequest, tiny_model: Path, tmp_path: Path
) -> None:
    (hub.root / "owner").mkdir()
    (hub.root / "owner" / "configs").symlink_to(tiny_model)
    file = tiny.save_file_of(tmp_path / "mine.safetensors", tiny.components())
    mine = ModelSpec(name="mine", weights=str(file), config="owner/configs")
    assert list(fetch(Registry({}).find(str(file)), offline=True)) == [], "without one it needs no hub"
    with pytest.raises(ModelError, match=r"mine \(configs\): .* cannot be downloaded while offline"):
        list(fetch(mine, offline=True))
    with closing(DiffusionEngine(Registry({"mine": mine}), EngineOptions(device="cpu"))) as engine:
        happened = list(engine.generate(a_request(model="mine", steps=1)))
    assert any(isinstance(event, DownloadRequired) for event in happened)
    assert isinstance(happened[-1], Finished)
    assert hub.fetched(".safetensors") == []


def test_a_revision_is_downloaded_and_found_again(hub: Hub) -> None:
    far = ModelSpec(name="far", weights="owner/far@v2")
    assert str(hub_address(far.weights)) == "owner/far@v2"
    kept = Path(constants.HF_HUB_CACHE) / "models--owner--far"
    for commit in ("aaaa", "bbbb"):
        (kept / "snapshots" / commit).mkdir(parents=True)
    (kept / "snapshots" / "aaaa" / "model.safetensors").write_bytes(b"x")
    assert located("owner/far") == kept / "snapshots" / "aaaa", "the one that is whole, without a ref"
    assert located("owner/far@bbbb") == kept / "snapshots" / "bbbb"
    assert located(far.weights) is None
    (kept / "refs").mkdir()
    (kept / "refs" / "v2").write_text("bbbb")
    assert located(far.weights) == kept / "snapshots" / "bbbb"


# choice of files

INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
}
PLAIN = ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"]
HALF = ["unet/diffusion_pytorch_model.fp16.safetensors", "text_encoder/model.fp16.safetensors"]
SHARDS = [f"unet/diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
CONFIGS = [
    "model_index.json",
    "unet/config.json",
    "text_encoder/config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
]
OTHERS = [
    "README.md",
    "v1-5.safetensors",
    "v1-5.ckpt",
    "unet/diffusion_pytorch_model.bin",
    "vae_1_0/diffusion_pytorch_model.safetensors",
    "safety_checker/model.safetensors",
    "text_encoder/openvino_model.bin",
]


@pytest.mark.parametrize(
    ("weights", "half", "chosen"),
    [
        (PLAIN, True, PLAIN),
        ([*PLAIN, *HALF], True, HALF),
        ([*PLAIN, *HALF], False, PLAIN),
        ([*PLAIN, HALF[0]], True, [HALF[0], PLAIN[1]]),
        (HALF, False, HALF),
        ([*SHARDS, PLAIN[1]], True, [*SHARDS, PLAIN[1]]),
    ],
)
def test_configs_and_one_set_of_weights_are_chosen(weights: list[str], half: bool, chosen: list[str]) -> None:
    assert sorted(choose("far", [*OTHERS, *CONFIGS, *weights], INDEX, half=half)) == sorted([*CONFIGS, *chosen])


def test_a_single_part_in_a_repository_is_chosen() -> None:
    files = ["config.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors", "x.bin"]
    assert choose("far", files, None, half=False) == files[:2]
    with pytest.raises(ModelError, match="its weights are not safetensors files"):
        choose("far", ["config.json", "pytorch_model.bin"], None, half=False)


# recognising repositories


def _look(weights: str) -> ModelSpec:
    address = hub_address(weights)
    assert address is not None
    found: ModelSpec = ask_child("invoke.models.hub.inspect_process", Inspect("far", address), "no answer")
    return found


def test_a_repository_is_recognised_without_its_weights(hub: Hub) -> None:
    spec = _look("some/model")
    assert (spec.kind, spec.family, spec.width, spec.megabytes, spec.weights) == ("model", "sd", 64, 1, "some/model")
    assert hub.fetched(".safetensors") == []


def test_a_repository_with_one_file_means_that_file(hub: Hub) -> None:
    (hub.root / "some" / "lora").mkdir()
    save_file({"unet.x.lora_A.weight": torch.zeros(2, 2)}, hub.root / "some" / "lora" / "fire.safetensors")
    assert (_look("some/lora").kind, _look("some/lora").weights) == ("lora", "some/lora/fire.safetensors")
    save_file({"unet.x.lora_A.weight": torch.zeros(2, 2)}, hub.root / "some" / "lora" / "ice.safetensors")
    with pytest.raises(ModelError, match=r"nor a single \.safetensors file: it has 2 of them") as caught:
        _look("some/lora")
    assert "some/lora/fire.safetensors" in caught.value.hint
    assert _look("some/lora/ice.safetensors").kind == "lora"


def test_a_hanging_download_leaves_no_process(hub: Hub) -> None:
    hub.stuck.add("unet/diffusion_pytorch_model.safetensors")
    with closing(fetch(FAR, offline=False)) as events:
        assert any(isinstance(event, Downloading) and hub.sent for event in events)
    commands = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    assert not [command for command in commands if "fetcher" in command]

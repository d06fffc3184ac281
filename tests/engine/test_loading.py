"""Folders, single files, and all ways in which they can be invalid."""

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from invoke.engine.components import compiler_choice, single_file
from invoke.engine.components.devices import choose_placement
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.loading import model_pool
from invoke.engine.loading.load import load
from invoke.errors import ModelError
from invoke.events import Loaded, Loading
from invoke.models import ModelSpec, Registry
from invoke.models.architectures import ARCHITECTURES
from invoke.models.families import Family
from invoke.models.safetensors_header import read_header
from invoke.options import EngineOptions
from tests import tiny
from tests.engine.making import asked, events, finished, make
from tests.making import ARequest
from tests.tiny_xl import xl_components

UNET_KEYS = ("input_blocks.0.0.weight", "out.2.weight")
PLACE = choose_placement(EngineOptions(device="cpu"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The tiny model, to be broken."""
    return Path(shutil.copytree(folder, tmp_path / "broken"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every attempt to use the network is an error and recorded."""
    tried: list[str] = []

    def refuse(*target: Any, **options: Any) -> Any:
        tried.append(str(target[1:] or target))
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


def test_a_folder_is_loaded_without_the_network(folder: Path, no_network: list[str]) -> None:
    model = load(_spec(folder), PLACE)
    assert model.factor == 8
    assert no_network == []


def test_a_single_file_draws_the_same_picture_as_its_folder(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, tmp_path: Path, no_network: list[str]
) -> None:
    file = tiny.save_file_of(tmp_path / "tiny.safetensors", tiny.components())
    single = ModelSpec(name="single", weights=str(file), config=str(folder))
    theirs = events(DiffusionEngine(Registry({"single": single})), a_request(model="single"))
    ours = events(engine, a_request())
    assert finished(theirs).image == finished(ours).image
    assert finished(theirs).facts.hashes["model"] == sha256(file.read_bytes()).hexdigest()
    assert finished(ours).facts.hashes["model"] != finished(theirs).facts.hashes["model"]
    assert no_network == []


def test_a_folder_with_only_fp16_files_is_loaded(folder: Path, copy: Path, engine: DiffusionEngine) -> None:
    for weights in copy.glob("*/*.safetensors"):
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    half, whole = (load(_spec(path), PLACE) for path in (copy, folder))
    for mine, theirs in zip(half.unet.parameters(), whole.unet.parameters(), strict=True):
        assert mine.equal(theirs)


def test_samplers_use_the_config_of_the_model(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    """Earlier runs leave no state."""
    folder = tiny.save_folder(tmp_path / "v", tiny.components(prediction_type="v_prediction"))
    alone = make(DiffusionEngine(Registry({})), a_request(model=folder))
    for scheduler in ("ddim", "k_dpmpp_2_a", "plms", "lcm", "k_dpm_2"):
        make(engine, a_request(model=folder, scheduler=scheduler))
    assert make(engine, a_request(model=folder)).tolist() == alone.tolist()


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda f: (f / "model_index.json").unlink(), "this folder is not a model: it has no model_index.json"),
        (lambda f: (f / "model_index.json").write_text("{"), "model_index.json is damaged"),
        (lambda f: (f / "model_index.json").write_text("[]"), "it is not a JSON object"),
        (lambda f: (f / "unet" / "config.json").unlink(), "incomplete: unet/config.json is missing"),
        (lambda f: (f / "scheduler" / "scheduler_config.json").unlink(), "scheduler_config.json is missing"),
        (lambda f: shutil.rmtree(f / "tokenizer"), "incomplete: tokenizer/tokenizer_config.json is missing"),
        (lambda f: shutil.rmtree(f / "vae"), "incomplete: vae/config.json is missing"),
        (lambda f: _unet(f).unlink(), "incomplete: unet/diffusion_pytorch_model.safetensors is missing"),
        (lambda f: _unet(f).write_bytes(_unet(f).read_bytes()[:50_000]), "partly downloaded: it has 50,000 of 1,0"),
        (lambda f: _unet(f).write_bytes(b""), "partly downloaded: its 0 bytes are not a safetensors file"),
        (lambda f: _unet(f).write_bytes(b"\xff" * 1000), "its 1,000 bytes are not a safetensors file"),
        (lambda f: _unet(f).rename(_unet(f).with_suffix(".bin")), "are pickle files, which can contain code"),
        (lambda f: _edit(f / "unet" / "config.json", cross_attention_dim=48), "cannot be loaded"),
        (lambda f: _edit(f / "unet" / "config.json", in_channels=8), "cannot be loaded"),
        (lambda f: _edit(f / "text_encoder" / "config.json", num_attention_heads=[8]), "cannot be loaded"),
        # what libraries only log, and fill with random numbers
        (lambda f: _change(f / "unet", lambda s: _without(s, "conv_out.bias")), "its UNet lacks 1 tensors .* conv_out"),
        (lambda f: _change(f / "vae", lambda s: _without(s, "decoder.conv_out")), "its VAE lacks 2 tensors .*decoder"),
        (lambda f: _change(f / "text_encoder", lambda s: _without(s, "final_layer")), "its text encoder lacks 2 tens"),
        (lambda f: _change(f / "unet", lambda s: s | {"to_k_ip.weight": torch.ones(1)}), "to_k_ip.weight has no place"),
        # numbers of another kind
        (lambda f: _change(f / "unet", _in_integers), "unet/diffusion_pytorch_model.* holds weights of 8-bit integers"),
        (
            lambda f: _edit(f / "unet" / "config.json", quantization_config={"quant_method": "torchao"}),
            r"the weights of its unet are quantised \(torchao\)",
        ),
        # what a UNet takes that nothing here gives it
        (lambda f: _edit(f / "unet" / "config.json", in_channels=5), "UNets with 5 input channels are not supported"),
        (lambda f: _edit(f / "unet" / "config.json", out_channels=8), "its UNet predicts 8 channels, unlike"),
        (lambda f: _edit(f / "unet" / "config.json", class_embed_type="projection"), "its UNet takes class embeddings"),
        (lambda f: _edit(f / "unet" / "config.json", num_class_embeds=10), "its UNet takes class labels"),
        (lambda f: _edit(f / "unet" / "config.json", encoder_hid_dim=48), "its UNet takes other embeddings than those"),
        (lambda f: _edit(f / "unet" / "config.json", addition_embed_type="text"), "its UNet takes other added embedd"),
        # the scale of latents
        (lambda f: _edit(f / "vae" / "config.json", scaling_factor=None), "scaling_factor must be a positive number"),
        (lambda f: _edit(f / "vae" / "config.json", scaling_factor=0), "scaling_factor must be a positive number"),
        (lambda f: _edit(f / "vae" / "config.json", latents_mean=[0.1]), "latents_mean must be 4 numbers"),
        (lambda f: _edit(f / "vae" / "config.json", latents_std=[1, 1, 1, 0]), "latents_std must be 4 numbers"),
    ],
)
def test_a_broken_folder_is_refused(
    break_it: Callable[[Path], Any], sentence: str, copy: Path, no_network: list[str]
) -> None:
    break_it(copy)
    with pytest.raises(ModelError, match=sentence) as caught:
        load(_spec(copy), PLACE)
    assert "\n" not in caught.value.message
    assert ". " not in caught.value.message  # advice of libraries to programmers is left out
    assert no_network == []


def test_a_folder_of_another_family_is_named(copy: Path) -> None:
    _edit(copy / "model_index.json", _class_name="StableDiffusionXLPipeline", text_encoder_2=["transformers", "X"])
    with pytest.raises(ModelError, match="broken: cannot be loaded"):
        load(_spec(copy), PLACE)


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"lora_unet_x.lora_up.weight": (2, 2)}, "does not hold a whole model"),
        ({"something": (2, 2, 2)}, "does not hold a model of a supported family"),
        ({"double_blocks.0.img_attn.qkv.weight": (2, 2)}, "holds Flux, which is not supported"),
        ({"control_model.input_blocks.0.0.weight": (2, 4, 3, 3)}, "does not hold a whole model"),
        ({f"model.diffusion_model.{key}": (2, 4, 3, 3) for key in UNET_KEYS}, "takes text embeddings of width 0"),
    ],
)
def test_a_file_that_is_not_a_model_is_refused(
    tensors: dict[str, tuple[int, ...]], sentence: str, tmp_path: Path, no_network: list[str]
) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, path)
    with pytest.raises(ModelError, match=sentence):
        load(_spec(path), PLACE)
    assert no_network == []


@pytest.mark.parametrize("named", ["LatentConsistencyModelPipeline", ["pipeline_of_mine", "MyPipeline"]])
def test_a_folder_of_another_pipeline_with_the_same_parts_is_loaded(named: str | list[str], copy: Path) -> None:
    """A custom one is listed as module and class. Its code is not looked at."""
    _edit(copy / "model_index.json", _class_name=named)
    assert Registry({}).find(str(copy)).family == "sd"
    assert load(_spec(copy), PLACE).factor == 8


def test_truncated_and_missing_files_are_refused(tmp_path: Path, folder: Path) -> None:
    file = tiny.save_file_of(tmp_path / "tiny.safetensors", tiny.components())
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged or only partly downloaded"):
        load(_spec(file), PLACE)
    with pytest.raises(ModelError, match="there is no file"):
        load(_spec(tmp_path / "none.safetensors"), PLACE)
    with pytest.raises(ModelError, match="there is no folder"):
        load(_spec(tmp_path / "none"), PLACE)


def test_hf_hub_offline_forbids_downloads(no_network: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="has not been downloaded yet"):
        load(ModelSpec(name="far", weights="nobody/nothing"), PLACE)
    assert no_network == []


def test_an_unsupported_prediction_type_is_refused(copy: Path) -> None:
    _edit(copy / "scheduler" / "scheduler_config.json", prediction_type="sample")
    with pytest.raises(ModelError, match="it predicts 'sample'"):
        load(_spec(copy), PLACE)


def test_models_that_fit_stay_and_the_least_recently_used_is_evicted(
    a_request: ARequest, folder: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    monkeypatch.setattr(model_pool, "load", lambda spec, *a, **o: loaded.append(spec.name) or load(spec, *a, **o))
    third = Path(shutil.copytree(folder, tmp_path / "third"))
    two_and_a_half = 2.5 * model_pool.weight(load(_spec(folder), PLACE)) / 10**9
    engine = DiffusionEngine(Registry({}), EngineOptions(max_memory=two_and_a_half))
    happened = events(engine, a_request(steps=1))
    assert [type(event) for event in happened[:2]] == [Loading, Loaded]
    for path in (copy, folder, copy, third, copy, folder):
        events(engine, a_request(model=path, steps=1))
    assert loaded == [str(path) for path in (folder, copy, third, folder)]


def test_the_active_model_stays_usable_when_another_fails(a_request: ARequest, copy: Path) -> None:
    engine = DiffusionEngine(Registry({}))
    before = make(engine, a_request())
    _unet(copy).write_bytes(b"")
    with pytest.raises(ModelError):
        events(engine, a_request(model=copy))
    happened = events(engine, a_request())
    assert not any(isinstance(event, Loading) for event in happened)
    assert make(engine, a_request()).tolist() == before.tolist()


def test_metadata_of_safetensors_is_read_without_weights(folder: Path) -> None:
    header = read_header(_unet(folder))
    assert header["conv_in.weight"]["shape"] == [16, 4, 3, 3]


@pytest.mark.parametrize(
    ("family", "unet", "texts"),
    [
        (("sd", 768), 859_520_964, {"text_encoder": 123_060_480}),
        (("sd", 1024), 865_910_724, {"text_encoder": 340_387_840}),
        (("sdxl", 2048), 2_567_463_684, {"text_encoder": 123_060_480, "text_encoder_2": 694_659_840}),
        (("sdxl-refiner", 1280), 2_259_526_660, {"text_encoder_2": 694_659_840}),
    ],
)
def test_shipped_configs_give_the_published_numbers_of_parameters(
    family: tuple[Family, int], unet: int, texts: dict[str, int]
) -> None:
    shipped = ARCHITECTURES[family]
    parts = {"unet": shipped.unet, "vae": shipped.vae, **shipped.texts}
    sizes = {
        part: sum(p.numel() for p in single_file.EMPTY[part](config).parameters()) for part, config in parts.items()
    }
    assert sizes == {"unet": unet, "vae": 83_653_863, **texts}


def _spec(path: Path) -> ModelSpec:
    return ModelSpec(name=path.name, weights=str(path))


def _unet(folder: Path) -> Path:
    return folder / "unet" / "diffusion_pytorch_model.safetensors"


Tensors = dict[str, torch.Tensor]


def _change(part: Path, change: Callable[[Tensors], Tensors]) -> None:
    (path,) = part.glob("*.safetensors")
    save_file(change(load_file(path)), path, {"format": "pt"})


def _without(state: Tensors, name: str) -> Tensors:
    return {key: tensor for key, tensor in state.items() if name not in key}


def _in_integers(state: Tensors) -> Tensors:
    return {key: (tensor * 99).to(torch.int8) if tensor.dim() > 1 else tensor for key, tensor in state.items()}


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("single", [False, True])
def test_another_vae_replaces_that_of_the_model(
    single: bool, a_request: ARequest, folder: Path, tmp_path: Path, no_network: list[str]
) -> None:
    parts = tiny.components(seed=9)
    parts["vae"].save_pretrained(tmp_path / "vae")
    vae = tmp_path / "vae" / "diffusion_pytorch_model.safetensors" if single else tmp_path / "vae"
    own = tiny.components()
    both = tiny.save_folder(tmp_path / "both", own | {"vae": parts["vae"]})
    models = {
        "mine": ModelSpec(name="mine", weights=str(folder), vae="other"),
        "other": ModelSpec(name="other", weights=str(vae), kind="vae"),
    }
    engine = DiffusionEngine(Registry(models))
    happened = events(engine, a_request(model="mine"))
    assert "vae" in finished(happened).facts.hashes
    assert make(engine, a_request(model="mine")).tolist() == make(engine, a_request(model=both)).tolist()
    assert no_network == []


def test_a_vae_with_other_latents_is_refused(a_request: ARequest, folder: Path, tmp_path: Path) -> None:
    tiny.components(factor=4)["vae"].save_pretrained(tmp_path / "vae")
    models = {
        "mine": ModelSpec(name="mine", weights=str(folder), vae="other"),
        "other": ModelSpec(name="other", weights=str(tmp_path / "vae"), kind="vae"),
    }
    with pytest.raises(ModelError, match="other: this VAE does not fit mine: its latents have another shape"):
        events(DiffusionEngine(Registry(models)), a_request(model="mine"))


def test_a_vae_of_another_family_is_refused(a_request: ARequest, folder: Path, tmp_path: Path) -> None:
    """XL's latents have the same shape, and other colours."""
    xl_components()["vae"].save_pretrained(tmp_path / "vae")
    models = {
        "mine": ModelSpec(name="mine", weights=str(folder), vae="other"),
        "other": ModelSpec(name="other", weights=str(tmp_path / "vae"), kind="vae"),
    }
    with pytest.raises(ModelError, match=r"other: this VAE does not fit: its latents are scaled by 0\.13025, those of"):
        events(DiffusionEngine(Registry(models)), a_request(model="mine"))


def test_an_offloaded_model_draws_the_same_picture(a_request: ARequest, folder: Path) -> None:
    """Without a second device, only the calls of the hooks can be tested."""
    from invoke.engine.components import offload

    plain = load(_spec(folder), PLACE)
    for how in ("model", "group", "sequential"):
        place = replace(PLACE, offload=how)
        model = load(_spec(folder), place)
        hooks = (hasattr(network, "_hf_hook") for network in (model.unet, model.vae))
        assert all(hooks) if how != "group" else hasattr(model.unet.down_blocks[0], "_diffusers_hook")
        conditioning = model.condition(a_request())
        assert torch.equal(conditioning.prompt.embeds, plain.condition(a_request()).prompt.embeds)
        x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        ours, theirs = (
            asked(one.predict(a_request(), conditioning, (64, 64), None)(x, torch.tensor(500), 0))
            for one in (model, plain)
        )
        assert torch.equal(ours, theirs)
        if how == "model":
            assert [type(each).__name__ for each in offload._on_device] == ["UNet2DConditionModel"]
        assert torch.equal(model.decode(x), plain.decode(x))
        if how == "model":
            assert [type(each).__name__ for each in offload._on_device] == ["AutoencoderKL"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_unet_draws_nearly_the_same_picture(
    a_request: ARequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block of each kind: each of a network's kernels takes a second to compile by torch."""
    monkeypatch.setattr(
        compiler_choice, "BACKENDS", [row for row in compiler_choice.BACKENDS if row.name != "OpenVINO"]
    )
    parts = tiny.components()
    blocks = {"down_block_types": ("CrossAttnDownBlock2D",), "up_block_types": ("UpBlock2D",), "mid_block_type": None}
    small = type(parts["unet"]).from_config(parts["unet"].config, block_out_channels=(16,), **blocks)
    folder = tiny.save_folder(tmp_path / "small", parts | {"unet": small.eval()})
    request = a_request(model=folder, steps=2, guidance_scale=1.0)
    eager = make(DiffusionEngine(Registry({})), request).astype(int)
    compiled = make(DiffusionEngine(Registry({}), EngineOptions(compile=True)), request).astype(int)
    assert abs(compiled - eager).max() <= 1

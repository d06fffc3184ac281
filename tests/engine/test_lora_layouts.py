"""LoRA files of every layout draw the picture of weights merged by hand, within one level."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from invoke.engine.adapters.lora_layouts import read_changes
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError
from invoke.models import Registry
from tests import tiny
from tests.checkpoint_makings import sd2_components
from tests.engine.making import Array, make
from tests.engine.stock import apart, in_bytes, run, stock_pipeline
from tests.lora_makings import CASES, LoraCase, merged, write
from tests.making import ARequest
from tests.tiny_xl import xl_components

pytestmark = pytest.mark.usefixtures("no_network")
PROMPT = "a fire and the cat"


def _components(case: LoraCase) -> dict[str, Any]:
    makers = {"sd": tiny.components, "sd2": sd2_components, "sdxl": xl_components}
    return makers[case.family]()


def _stock(case: LoraCase, parts: dict[str, Any]) -> Any:
    if case.family == "sdxl":
        return tiny.quiet(diffusers.StableDiffusionXLPipeline(**parts))
    return tiny.quiet(diffusers.StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None))


def _theirs(pipeline: Any, folder: Path) -> Array:
    pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
    return in_bytes(pipeline(PROMPT, guidance_scale=7.5, width=64, height=64, **run(3)))


@pytest.fixture(scope="module")
def sd2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_folder(tmp_path_factory.mktemp("sd2") / "sd2", sd2_components())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_layout_draws_the_picture_of_weights_merged_by_hand(  # noqa: PLR0917
    case: LoraCase,
    engine: DiffusionEngine,
    a_request: ARequest,
    folder: Path,
    sd2_folder: Path,
    xl_of: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    parts = _components(case)
    changes = write(tmp_path / "x.safetensors", case, parts)
    merged(parts, changes, case.strength)
    model = {"sd": folder, "sd2": sd2_folder, "sdxl": xl_of(4)}[case.family]
    base = {"steps": 3, "model": model}
    ours = make(engine, a_request(prompt=f"{PROMPT} withLora({tmp_path / 'x.safetensors'},{case.strength})", **base))
    assert apart(ours, _theirs(_stock(case, parts), model)) <= 1
    assert apart(ours, make(engine, a_request(prompt=PROMPT, **base))) > 0, "it has no effect"


@pytest.mark.parametrize(
    "case",
    [LoraCase(alpha="half"), LoraCase("attention processors")],
    ids=str,
)
def test_a_lora_draws_the_picture_of_the_pipeline(
    case: LoraCase, engine: DiffusionEngine, a_request: ARequest, folder: Path, tmp_path: Path
) -> None:
    """Of files with one rank and one alpha, which peft's patterns match."""
    write(tmp_path / "x.safetensors", case, tiny.components())
    pipeline = stock_pipeline("StableDiffusionPipeline", folder, safety_checker=None)
    pipeline.load_lora_weights(str(tmp_path / "x.safetensors"))
    ours = make(engine, a_request(prompt=f"{PROMPT} withLora({tmp_path / 'x.safetensors'})", steps=3))
    assert apart(ours, _theirs(pipeline, folder)) <= 1


def test_several_loras_add_up_and_leave_no_state(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, tmp_path: Path
) -> None:
    """Law: LoRAs add up on the original weights, and afterwards every bit is restored."""
    parts = _components(LoraCase())
    cases = (LoraCase(alpha="each", targets="all"), LoraCase(kind="dora", alpha="half"), LoraCase(kind="lokr"))
    originals = {name: {k: v.clone() for k, v in parts[name].state_dict().items()} for name in ("unet", "text_encoder")}
    deltas: dict[tuple[str, str], torch.Tensor] = {}
    for number, (case, strength) in enumerate(zip(cases, (0.5, 1.0, -0.5), strict=True)):
        (tmp_path / str(number)).mkdir()
        for (part, name), fields in write(tmp_path / str(number) / "x.safetensors", case, parts).items():
            for field, change in fields.items():
                plain = originals[part][f"{name}.{field}"].double()
                place = part, f"{name}.{field}"
                deltas[place] = deltas.get(place, torch.zeros_like(plain)) + change(plain, strength) - plain
    with torch.no_grad():
        for (part, field), delta in deltas.items():
            parts[part].state_dict()[field].add_(delta)
    before = make(engine, a_request(prompt=PROMPT, steps=3))
    words = [f"withLora({tmp_path / str(n) / 'x.safetensors'},{w})" for n, w in enumerate(("0.5", "1", "-0.5"))]
    ours = make(engine, a_request(prompt=f"{PROMPT} {' '.join(words)}", steps=3))
    assert apart(ours, _theirs(_stock(LoraCase(), parts), folder)) <= 1
    assert np.array_equal(ours, make(engine, a_request(prompt=f"{PROMPT} {' '.join(words)}", steps=3)))
    assert np.array_equal(before, make(engine, a_request(prompt=PROMPT, steps=3)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s | {"lora_unet_nowhere.lora_up.weight": torch.ones(2, 2)}, "nothing in the model is called lora_u"),
        (lambda s: s | {"lora_te2_text_model_x.alpha": torch.ones(1)}, "nothing in the model is called lora_te2_text"),
        (lambda s: s | {next(iter(s)) + ".more": torch.ones(1)}, r"nothing in the model is called .*\.more"),
        (lambda s: s | {"lora_unet_conv_in.oft_blocks": torch.ones(1)}, "holds OFT, which is not supported"),
        (lambda s: s | {"bundle_emb.x.string_to_param.*": torch.ones(1)}, "holds textual inversions inside a LoRA"),
        (lambda s: {k: v[..., :3].contiguous() for k, v in s.items()}, "made for another architecture"),
        (lambda s: {k: v for k, v in s.items() if "up" not in k}, "made for another architecture"),
        (lambda s: {k: v[:0] if "down" in k else v[:, :0].contiguous() for k, v in s.items()}, "made for another arch"),
        (
            lambda s: {k: v * float("nan") for k, v in s.items()},
            r"LoRA holds values that are not numbers .* lora_unet_",
        ),
        (lambda s: s | {next(iter(s)).split(".")[0] + ".alpha": torch.tensor(torch.inf)}, "not numbers .*alpha"),
        (lambda s: {k: (v * 99).to(torch.int8) for k, v in s.items()}, "holds weights of 8-bit integers, which is not"),
    ],
)
def test_a_lora_with_unused_tensors_is_refused(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    sentence: str,
    engine: DiffusionEngine,
    a_request: ARequest,
    tmp_path: Path,
) -> None:
    """Half a LoRA is another LoRA."""
    write(tmp_path / "x.safetensors", LoraCase(), tiny.components())
    save_file(change(load_file(tmp_path / "x.safetensors")), tmp_path / "y.safetensors")
    before = make(engine, a_request(steps=3))
    with pytest.raises(ModelError, match=sentence):
        make(engine, a_request(prompt=f"a fire withLora({tmp_path / 'y.safetensors'})", steps=3))
    assert np.array_equal(before, make(engine, a_request(steps=3)))


@pytest.mark.parametrize(
    ("key", "family"),
    [
        ("lora_unet_double_blocks_0_img_attn_proj.lora_down.weight", "a LoRA for Flux"),
        ("transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight", "a LoRA for Flux"),
        ("diffusion_model.double_blocks.0.img_attn.proj.lora_A.weight", "a LoRA for Flux"),
        ("base_model.model.single_blocks.1.linear1.lora_B.weight", "a LoRA for Flux"),
        ("lora_unet_joint_blocks_0_x_block_attn_qkv.lora_up.weight", "a LoRA for Stable Diffusion 3"),
        ("transformer.transformer_blocks.0.attn.add_q_proj.lora_A.weight", "a LoRA for a transformer"),
        ("lora_prior_unet_blocks_0.lora_up.weight", "a LoRA for Stable Cascade"),
        ("diffusion_model.layers.0.attention.qkv.lora_A.weight", "a LoRA for a transformer"),
        ("diffusion_model.blocks.0.self_attn.q.lora_B.weight", "a LoRA for a transformer"),
        ("lora_controlnet", "a control-LoRA"),
        ("lora_unet_conv_in.oft_blocks", "OFT"),
        ("lora_unet_conv_in.a1.weight", "GLoRA"),
        ("lora_unet_conv_in.on_input", "IA³"),
        ("base_model.model.conv_in.ia3_l", "another kind of peft's adapters"),
        ("base_model.model.conv_in.boft_R", "BOFT"),
        (
            "base_model.model.conv_in.modules_to_save.weight",
            "whole layers beside a LoRA",
        ),
        ("bundle_emb.x.string_to_param.*", "textual inversions inside a LoRA"),
        ("double_blocks.0.processor.proj_lora1.down.weight", "a LoRA for Flux"),
        ("transformer.joint_transformer_blocks.0.attn.to_q.lora_A.weight", "a LoRA for AuraFlow"),
        ("lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight", "a ControlNet-LLLite"),
    ],
)
def test_a_lora_for_another_family_is_refused(key: str, family: str, tmp_path: Path) -> None:
    save_file({key: torch.ones(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match=f"this file holds {family}") as caught:
        Registry({}).find(str(tmp_path / "x.safetensors"), "lora")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"peft_type": "ADALORA"}, "holds an adapter of peft's kind ADALORA, which is not supported"),
        ({"init_lora_weights": "pissa_niter_4"}, r"changed the model's own weights \(pissa_niter_4\)"),
        ({"use_qalora": True}, "holds a LoRA with peft's option use_qalora"),
    ],
)
def test_what_peft_makes_that_is_no_plain_lora_is_refused(
    changes: dict[str, Any], sentence: str, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    path = tmp_path / "adapter_model.safetensors"
    write(path, LoraCase("peft"), tiny.components())
    config = json.loads((tmp_path / "adapter_config.json").read_text()) | changes
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=sentence) as caught:
        make(engine, a_request(prompt=f"a fire withLora({path})"))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("config", "scale"),
    [({"lora_alpha": 0}, 0.0), ({"use_rslora": True, "lora_alpha": 6}, 3.0), ({"alpha_pattern": {"to_q": 2}}, 0.5)],
)
def test_a_config_of_peft_counts_for_its_own_names_alone(config: dict[str, Any], scale: float) -> None:
    """Other files in the folder are not peft's, and an alpha of 0 is one."""
    unet = tiny.components()["unet"]
    module = next(name for name, _ in unet.named_modules() if name.endswith("attn1.to_q"))
    metadata = {"adapter_config.json": json.dumps(config)}
    for start, expected in (("base_model.model.", scale), ("unet.", 1.0)):
        tensors = {f"{start}{module}.lora_{half}.weight": torch.ones(4, 4) for half in "AB"}
        (change,) = read_changes("x", tensors, metadata, {"unet": unet}).values()
        assert change.scale == expected


def test_a_folder_saved_by_peft_is_a_lora(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    write(tmp_path / "adapter_model.safetensors", LoraCase("peft", alpha="each"), tiny.components())
    file, folder = (
        make(engine, a_request(prompt=f"{PROMPT} withLora({path})", steps=2))
        for path in (tmp_path / "adapter_model.safetensors", tmp_path)
    )
    assert np.array_equal(file, folder)


def test_the_registry_finds_a_lora_by_its_path(tmp_path: Path) -> None:
    write(tmp_path / "x.safetensors", LoraCase(), tiny.components())
    assert Registry({}).find(str(tmp_path / "x.safetensors"), "lora").family == "sd"


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, lora_alpha=8, use_rslora=True, rank_pattern={"to_q": 7}, alpha_pattern={"to_v": 3}),
        LoraConfig(r=4, lora_alpha=8, alpha_pattern={"^mid_block.*to_q": 5, "down_blocks.1.*to_q": 3}),
        LoraConfig(r=4, lora_alpha=8, use_dora=True, use_rslora=True),
        LoHaConfig(r=4, alpha=8, use_effective_conv2d=True, rank_pattern={"conv1": 2}),
        LoKrConfig(r=2, alpha=8, decompose_both=True, decompose_factor=4),
        LoKrConfig(r=64, alpha=8, rank_pattern={"to_q": 32}),
    ],
    ids=["rslora", "patterns", "dora", "loha", "lokr", "whole lokr"],
)
def test_the_changes_are_those_that_peft_merges(config: Any, tmp_path: Path) -> None:
    """Of adapters that peft itself has made and saved, in every module."""
    unet = tiny.components()["unet"]
    config.target_modules = {"to_q", "to_v", "to_out.0", "conv1"}
    model = get_peft_model(deepcopy(unet), config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "magnitude" not in name and weight.requires_grad:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    model.save_pretrained(str(tmp_path))
    expected = model.merge_and_unload()
    metadata = {"adapter_config.json": (tmp_path / "adapter_config.json").read_text()}
    changes = read_changes("x", load_file(tmp_path / "adapter_model.safetensors"), metadata, {"unet": unet})
    for (_, name), change in changes.items():
        weight = unet.get_submodule(name).weight.detach()
        ours = weight + change.deltas({"weight": weight}, 1.0)["weight"]
        torch.testing.assert_close(ours, expected.get_submodule(name).weight.detach())
    assert len(changes) == sum(name.endswith(tuple(config.target_modules)) for name, _ in unet.named_modules())

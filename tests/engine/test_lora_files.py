"""LoRA files of every layout: the picture is that of weights merged by hand, to a level."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError
from invoke.models import Registry
from tests import tiny
from tests.engine.making import Array, make
from tests.engine.stock import apart, in_bytes, run, stock_pipeline
from tests.lora_makings import CASES, LoraCase, merged, write
from tests.making import ARequest
from tests.tiny_xl import xl_components

PROMPT = "a fire and the cat"


def _components(case: LoraCase) -> dict[str, Any]:
    return xl_components() if case.family == "sdxl" else tiny.components()


def _stock(case: LoraCase, parts: dict[str, Any]) -> Any:
    if case.family == "sdxl":
        return tiny.quiet(diffusers.StableDiffusionXLPipeline(**parts))
    return tiny.quiet(diffusers.StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None))


def _theirs(pipeline: Any, folder: Path) -> Array:
    pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
    return in_bytes(pipeline(PROMPT, guidance_scale=7.5, width=64, height=64, **run(3)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_picture_is_that_of_weights_merged_by_hand(  # noqa: PLR0917
    case: LoraCase,
    engine: DiffusionEngine,
    a_request: ARequest,
    folder: Path,
    xl_of: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    parts = _components(case)
    changes = write(tmp_path / "x.safetensors", case, parts)
    merged(parts, changes, case.strength)
    model = xl_of(4) if case.family == "sdxl" else folder
    base = {"steps": 3, "model": model}
    ours = make(engine, a_request(prompt=f"{PROMPT} withLora({tmp_path / 'x.safetensors'},{case.strength})", **base))
    assert apart(ours, _theirs(_stock(case, parts), model)) <= 1
    assert apart(ours, make(engine, a_request(prompt=PROMPT, **base))) > 0, "it has no effect"


@pytest.mark.parametrize(
    "case",
    [LoraCase(alpha="half"), LoraCase("attention processors")],
    ids=str,
)
def test_the_picture_is_that_of_the_stock_pipeline(
    case: LoraCase, engine: DiffusionEngine, a_request: ARequest, folder: Path, tmp_path: Path
) -> None:
    """Of files with one rank and one alpha, which peft's patterns match."""
    write(tmp_path / "x.safetensors", case, tiny.components())
    pipeline = stock_pipeline("StableDiffusionPipeline", folder, safety_checker=None)
    pipeline.load_lora_weights(str(tmp_path / "x.safetensors"))
    ours = make(engine, a_request(prompt=f"{PROMPT} withLora({tmp_path / 'x.safetensors'})", steps=3))
    assert apart(ours, _theirs(pipeline, folder)) <= 1


def test_several_add_up_and_leave_nothing(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, tmp_path: Path
) -> None:
    """Law: the sum of what each makes of the original weights; afterwards every bit is as before."""
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
        (lambda s: s | {"lora_unet_conv_in.oft_blocks": torch.ones(1)}, "holds OFT, which is not read"),
        (lambda s: s | {"bundle_emb.x.string_to_param.*": torch.ones(1)}, "holds textual inversions inside a LoRA"),
        (lambda s: {k: v[..., :3].contiguous() for k, v in s.items()}, "made for another architecture"),
        (lambda s: {k: v for k, v in s.items() if "up" not in k}, "made for another architecture"),
    ],
)
def test_a_file_of_which_a_part_is_not_used_is_refused(
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


def test_the_registry_takes_a_path_as_a_name(tmp_path: Path) -> None:
    write(tmp_path / "x.safetensors", LoraCase(), tiny.components())
    assert Registry({}).find(str(tmp_path / "x.safetensors"), "lora").family == "sd"

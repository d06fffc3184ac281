"""Each training runs briefly on a few drawings: it steps, saves, resumes, and writes files that diffusers reads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file

from training import (
    dataset,
    edges,
    export,
    latents,
    masks,
    train_control,
    train_diffusion,
    train_inpainting,
    train_inversion,
    train_lora,
    train_upscaler,
    train_vae,
)
from training.devices import load_checkpoint
from training.scenes import Scene, draw

POCKET = Path(__file__).parents[2] / "invoke" / "pocket"
INSTANT = "0.0001"
"""Minutes: enough for a single step."""


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(main: Callable[[], None], *words: object) -> None:
        monkeypatch.setattr(sys, "argv", [main.__module__, *map(str, words)])
        main()

    return run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes at two sizes, their latents, with holes, with edges, in another style and with another subject."""
    folder = tmp_path_factory.mktemp("drawn")
    saved = sys.argv
    try:
        for size in (256, 512):
            sys.argv = f"dataset {folder}/data --count 4 --width {size} --height {size}".split()
            dataset.main()
        for name in ("--style blueprint", "--subject balloon"):
            sys.argv = f"dataset {folder}/{name.split()[1]} --count 4 {name}".split()
            dataset.main()
        for name in ("data", "blueprint", "balloon"):
            sys.argv = f"latents --data {folder}/{name} --vae {POCKET}/vae --out {folder}/{name}.pt".split()
            latents.main()
        for main, name in ((masks.main, f"masks --vae {POCKET}/vae"), (edges.main, "edges")):
            where = f"--data {folder}/data --latents {folder}/data.pt --out {folder}/{name.split()[0]}.pt"
            sys.argv = f"{name} {where} --most 3".split()
            main()
    finally:
        sys.argv = saved
    return folder


def reads_lora(file: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(POCKET, dtype=torch.float32)
    pipeline.load_lora_weights(file.parent, weight_name=file.name)
    read = {name.replace(".default_0", "") for name in pipeline.unet.state_dict() if ".lora_" in name}
    assert read == {name.removeprefix("unet.") for name in load_file(file)}


def reads_inversion(file: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(POCKET, dtype=torch.float32)
    pipeline.load_textual_inversion(file)
    assert pipeline.maybe_convert_prompt("a <balloon>", pipeline.tokenizer) == "a <balloon> <balloon>_1"


@dataclass(frozen=True)
class Training:
    main: Callable[[], None]
    name: str
    source: str
    result: str
    read: Callable[[Path], object]


TRAININGS = (
    Training(train_inpainting.main, "inpainting", "--holes masks.pt", "unet", UNet2DConditionModel.from_pretrained),
    Training(train_control.main, "control", "--edges edges.pt", "canny", ControlNetModel.from_pretrained),
    Training(train_lora.main, "lora", "--latents blueprint.pt", "style.safetensors", reads_lora),
    Training(
        train_inversion.main, "inversion", "--latents balloon.pt --vectors 2", "word.safetensors", reads_inversion
    ),
    Training(
        train_upscaler.main,
        "upscaler",
        "--latents data.pt",
        "x2",
        lambda folder: UNet2DConditionModel.from_pretrained(folder / "unet"),
    ),
)


@pytest.mark.parametrize("training", TRAININGS, ids=lambda training: training.name)
def test_training_a_companion_can_be_resumed(
    training: Training, call: Callable[..., None], drawn: Path, tmp_path: Path
) -> None:
    option, file, *others = training.source.split()
    words = (option, drawn / file, *others, "--model", POCKET, "--out", tmp_path, "--batch", 2, "--minutes", INSTANT)
    call(training.main, *words)
    state = load_checkpoint(tmp_path / f"{training.name}.pt")
    assert state["step"] >= 1
    assert state["done"] >= 1
    result = tmp_path / training.result
    call(training.main, *words, "--resume", "--save", result)
    assert load_checkpoint(tmp_path / f"{training.name}.pt")["step"] == state["step"]
    files = [result] if result.is_file() else [*result.rglob("*.safetensors")]
    assert len(files) == 1
    assert {tensor.dtype for tensor in load_file(files[0]).values()} == {torch.float16}
    training.read(result)


def test_the_base_model_is_trained_by_the_same_loop(call: Callable[..., None], drawn: Path, tmp_path: Path) -> None:
    words = ("--latents", drawn / "data.pt", "--scale", 0.3, "--out", tmp_path, "--batch", 2, "--minutes", INSTANT)
    call(train_diffusion.main, *words)
    assert load_checkpoint(tmp_path / "diffusion.pt")["step"] >= 1


def test_a_trained_decoder_is_saved_beside_its_encoder(call: Callable[..., None], drawn: Path, tmp_path: Path) -> None:
    vae = AutoencoderKL.from_pretrained(POCKET / "vae", torch_dtype=torch.float16)
    vae.save_pretrained(tmp_path / "model" / "vae")
    start = ("--data", drawn / "data", "--out", tmp_path, "--minutes", INSTANT)
    call(train_vae.main, *start, "--start", POCKET / "vae", "--decoder-only", "--whole-from", 0)
    call(export.main, "--runs", tmp_path, "--decoder-into", tmp_path / "model")
    after = AutoencoderKL.from_pretrained(tmp_path / "model" / "vae", torch_dtype=torch.float16).state_dict()
    before = vae.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "post_quant_conv"}
    call(train_vae.main, *start)
    with pytest.raises(SystemExit, match="another encoder"):
        call(export.main, "--runs", tmp_path, "--decoder-into", tmp_path / "model")


def test_edges_lie_at_the_border_of_a_shape() -> None:
    picture = draw(Scene("none", "sea", "day", "poster", seed=1), width=96, height=96)
    pixels = np.array(picture)
    pixels[30:60, 30:60] = (250, 0, 0)
    found = edges.edges(pixels)
    assert found[40:50, 28:33].any(axis=1).all()
    assert not found[38:52, 38:52].any()
    assert found.mean() < 0.2


def test_an_empty_picture_has_no_edges() -> None:
    assert not edges.edges(np.full((32, 48, 3), 90, dtype=np.uint8)).any()


def test_packed_edges_are_unpacked_unchanged() -> None:
    found = np.zeros((1, 4, 16), dtype=bool)
    found[0, 1, 3:7] = True
    shown = edges.unpacked(torch.from_numpy(np.packbits(found, axis=2)), 16)
    assert shown.shape == (1, 3, 4, 16)
    assert torch.equal(shown[0, 2], torch.from_numpy(found[0]).float())


def test_latent_masks_by_corner_or_by_any_pixel() -> None:
    hole = torch.zeros(1, 32, 32, dtype=torch.bool)
    hole[0, 5, 5] = True
    hole[0, 16, 16] = True
    assert masks.cells(hole, widest=False).flatten().tolist() == [0, 0, 0, 1]
    assert masks.cells(hole, widest=True).flatten().tolist() == [1, 0, 0, 1]

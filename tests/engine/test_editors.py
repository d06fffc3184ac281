"""Editing by instruction: the pictures of diffusers' pipelines, and the promises of our own."""

import json
import shutil
from inspect import signature
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError, RequestError
from tests import tiny, tiny_editors
from tests.engine.making import disc, events, finished, make, save, scene, with_alpha
from tests.engine.stock import apart, in_bytes, run, stock_pipeline
from tests.making import ARequest
from tests.tiny_ip_adapter import image_encoder, save_ip_adapter
from tests.tiny_xl import xl_components, xl_index

# ruff: noqa: PLR0917 - filled in by pytest

PIX2PIX = {"_class_name": "StableDiffusionInstructPix2PixPipeline"}
PIX2PIX_XL = {"_class_name": "StableDiffusionXLInstructPix2PixPipeline"}


@pytest.fixture(scope="module")
def editors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("editors")
    tiny.save_folder(place / "pix2pix", tiny.components(channels=8), PIX2PIX)
    xl_parts = xl_components(channels=8)
    tiny.save_folder(place / "xl", xl_parts, {**xl_index(), **PIX2PIX_XL})
    tiny.save_folder(place / "cosxl", xl_parts, {**xl_index(), **PIX2PIX_XL, "is_cosxl_edit": True})
    tiny_editors.kontext().save_pretrained(place / "kontext")
    tiny_editors.klein().save_pretrained(place / "klein")
    return {name: place / name for name in ("pix2pix", "xl", "cosxl", "kontext", "klein")}


@pytest.mark.parametrize(("guidance_scale", "image_scale"), [(7.5, 1.5), (3.0, 1.0), (7.5, 0.5), (1.0, 1.5)])
def test_pix2pix_matches_the_pipeline(
    guidance_scale: float,
    image_scale: float,
    engine: DiffusionEngine,
    a_request: ARequest,
    editors: dict[str, Path],
    init: Path,
) -> None:
    stock = _euler(stock_pipeline("StableDiffusionInstructPix2PixPipeline", editors["pix2pix"]))
    theirs = stock(
        "a fire",
        image=Image.open(init),
        guidance_scale=guidance_scale,
        image_guidance_scale=image_scale,
        negative_prompt="rain",
        **run(),
    )
    request = a_request(
        model=editors["pix2pix"],
        init_image=init,
        strength=1.0,
        guidance_scale=guidance_scale,
        image_guidance_scale=image_scale,
        negative_prompt="rain",
    )
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


@pytest.mark.parametrize("name", ["xl", "cosxl"])
def test_pix2pix_xl_matches_the_pipeline(
    name: str, engine: DiffusionEngine, a_request: ARequest, editors: dict[str, Path], init: Path
) -> None:
    parts = {"is_cosxl_edit": True} if name == "cosxl" else {}
    stock = _euler(stock_pipeline("StableDiffusionXLInstructPix2PixPipeline", editors[name], **parts))
    theirs = stock("a fire", image=Image.open(init), height=64, width=64, guidance_scale=7.5, **run())
    request = a_request(model=editors[name], init_image=init, strength=1.0)
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


def test_pix2pix_with_an_ip_adapter_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, editors: dict[str, Path], init: Path, other: Path, tmp_path: Path
) -> None:
    image_encoder().save_pretrained(tmp_path / "image_encoder")
    adapter = save_ip_adapter(tmp_path / "ip.safetensors", tiny.components()["unet"], "plain")
    stock = stock_pipeline(PIX2PIX["_class_name"], editors["pix2pix"], image_encoder=image_encoder())
    stock.load_ip_adapter(str(tmp_path), subfolder="", weight_name=adapter.name, image_encoder_folder=None)
    theirs = _euler(stock)("a fire", image=Image.open(init), ip_adapter_image=Image.open(other), **run())
    output = ((str(adapter), str(other), 1.0),)
    request = a_request(model=editors["pix2pix"], init_image=init, strength=1.0, ip_adapters=output)
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


def test_kontext_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, editors: dict[str, Path], init: Path
) -> None:
    stock = stock_pipeline("FluxKontextPipeline", editors["kontext"])
    size = {"width": 64, "height": 64, "max_area": 64 * 64, "_auto_resize": False}
    theirs = stock(prompt="a fire", image=Image.open(init), guidance_scale=2.5, **size, **run())
    request = a_request(model=editors["kontext"], init_image=init, strength=1.0, guidance_scale=2.5)
    assert np.array_equal(make(engine, request), in_bytes(theirs))


def test_klein_accepts_several_pictures_or_none(
    engine: DiffusionEngine, a_request: ARequest, editors: dict[str, Path], init: Path, other: Path
) -> None:
    stock = stock_pipeline("Flux2KleinPipeline", editors["klein"])
    size = {"width": 64, "height": 64, "guidance_scale": 4.0}
    shown = [Image.open(path) for path in (init, other)]
    made = []
    for pictures in (shown, shown[:1], None):
        theirs = stock(prompt="a fire", image=pictures, **size, **run())
        there = {"init_image": init, "strength": 1.0} if pictures else {}
        there |= {"more_images": (str(other),)} if pictures and len(pictures) > 1 else {}
        made.append(events(engine, a_request(model=editors["klein"], guidance_scale=4.0, **there)))
        assert apart(np.asarray(_pixels(made[-1])), in_bytes(theirs)) == 0
    assert set(finished(made[0]).facts.hashes) == {"init_image", "picture 2", "model"}


@pytest.mark.parametrize("name", ["kontext", "klein"])
def test_a_masked_edit_matches_the_inpainting_pipeline(
    name: str, engine: DiffusionEngine, a_request: ARequest, editors: dict[str, Path], tmp_path: Path
) -> None:
    cells = np.repeat(np.repeat(disc(4, 4, 1.5), 16, 0), 16, 1)
    path = save(tmp_path / "init.png", scene())
    mask = save(tmp_path / "mask.png", np.where(cells, 0, 255).astype(np.uint8))
    plain = stock_pipeline({"kontext": "FluxKontextPipeline", "klein": "Flux2KleinPipeline"}[name], editors[name])
    kind = {"kontext": "FluxKontextInpaintPipeline", "klein": "Flux2KleinInpaintPipeline"}[name]
    stock = tiny.quiet(getattr(diffusers, kind)(**plain.components))
    exact = {"max_area": 64 * 64, "_auto_resize": False} if name == "kontext" else {}
    theirs = stock(
        prompt="a fire",
        image=Image.open(path),
        mask_image=Image.fromarray(cells.astype(np.uint8) * 255),
        strength=1.0,
        width=64,
        height=64,
        guidance_scale=4.0,
        **exact,
        **run(),
    )
    request = a_request(
        model=editors[name], init_image=path, mask_image=mask, strength=1.0, guidance_scale=4.0, mask_blur=0
    )
    ours = make(engine, request)
    assert apart(ours[cells], in_bytes(theirs)[cells]) <= 1
    assert np.array_equal(ours[~cells], scene()[~cells])


@pytest.mark.parametrize("name", ["pix2pix", "kontext", "klein"])
def test_opaque_pixels_are_kept_bit_for_bit(
    name: str, engine: DiffusionEngine, a_request: ARequest, editors: dict[str, Path], tmp_path: Path
) -> None:
    hole = disc()
    path = with_alpha(tmp_path / "holed.png", scene(), np.where(hole, 0, 255))
    ours = make(engine, a_request(model=editors[name], init_image=path, strength=1.0))
    assert np.array_equal(ours[~hole], scene()[~hole])
    assert (ours[disc(64, 64, 8)] != scene()[disc(64, 64, 8)]).any(axis=-1).mean() > 0.5


def test_the_model_sees_the_masked_part(
    engine: DiffusionEngine, a_request: ARequest, editors: dict[str, Path], tmp_path: Path
) -> None:
    """The model edits the masked part, so another picture under the same mask gives another result."""
    mask = save(tmp_path / "mask.png", np.where(disc(), 0, 255).astype(np.uint8))
    made = []
    for name, inside in (("a", 0), ("b", 255)):
        path = save(tmp_path / f"{name}.png", np.where(disc()[..., None], inside, scene()).astype(np.uint8))
        arguments = {"init_image": path, "mask_image": mask, "strength": 1.0}
        made.append(make(engine, a_request(model=editors["pix2pix"], **arguments)))
    assert not np.array_equal(*made)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("pix2pix", {"strength": 1.0}, "edits a picture, but this line has none"),
        ("kontext", {}, "edits a picture, but this line has none"),
        ("pix2pix", {"init_image": "picture", "strength": 0.5}, "-f: .* has no strength"),
        ("kontext", {"init_image": "picture", "strength": 0.5}, "-f: .* has no strength"),
        ("kontext", {"init_image": "picture", "strength": 1.0, "more_images": ("x.png",)}, "takes 1 picture, not 2"),
        ("pix2pix", {"init_image": "picture", "strength": 1.0, "controls": (("x", "y", 1.0),)}, "support controls"),
        ("klein", {"image_guidance_scale": 2.0}, "does not support image_guidance_scale"),
    ],
)
def test_unsupported_edits_are_refused(
    name: str,
    changes: dict[str, Any],
    sentence: str,
    engine: DiffusionEngine,
    a_request: ARequest,
    editors: dict[str, Path],
    init: Path,
) -> None:
    changes = {key: init if value == "picture" else value for key, value in changes.items()}
    if "controls" in changes:
        from invoke.engine.pipeline.draw import _check_family

        engine.load(str(editors[name]))
        spec = engine._pool.models.find(str(editors[name]))
        with pytest.raises(RequestError, match=sentence):
            _check_family(a_request(model=editors[name], **changes), spec)
        return
    with pytest.raises(RequestError, match=sentence):
        events(engine, a_request(model=editors[name], **changes))


@pytest.mark.parametrize(
    ("name", "maker"), [pytest.param("edit", "qwen_edit", marks=pytest.mark.slow), ("plus", "qwen_edit_plus")]
)
def test_qwen_matches_the_pipeline(
    name: str,
    maker: str,
    engine: DiffusionEngine,
    a_request: ARequest,
    init: Path,
    other: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for size in ("CONDITION_IMAGE_SIZE", "VAE_IMAGE_SIZE"):  # at which it is shown its pictures, else 1024×1024
        monkeypatch.setattr(f"diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus.{size}", 64 * 64)
    stock = getattr(tiny_editors, maker)()
    tiny_editors.save(stock, tmp_path / name, processor="Qwen2VLProcessor")
    pictures = [Image.open(path) for path in ((init, other) if name == "plus" else (init,))]
    theirs = stock(
        prompt="a fire",
        negative_prompt="rain",
        image=pictures if name == "plus" else pictures[0],
        true_cfg_scale=4.0,
        width=64,
        height=64,
        **run(2),
    )
    more = {"more_images": (str(other),)} if name == "plus" else {}
    arguments = {"init_image": init, "strength": 1.0, "guidance_scale": 4.0, "negative_prompt": "rain", "steps": 2}
    request = a_request(model=tmp_path / name, **arguments, **more)
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_flux2_matches_the_pipeline(
    count: int, engine: DiffusionEngine, a_request: ARequest, init: Path, other: Path, flux2: tuple[Any, Path]
) -> None:
    stock, folder = flux2
    pictures = [init, other][:count]
    shown = {"image": [Image.open(path) for path in pictures]} if pictures else {}
    if "_auto_resize" in signature(stock.__call__).parameters:
        shown["_auto_resize"] = False
    theirs = stock(prompt="a fire", guidance_scale=4.0, width=64, height=64, **shown, **run(2))
    named = {"init_image": init, "strength": 1.0, "more_images": tuple(map(str, pictures[1:]))} if pictures else {}
    request = a_request(model=folder, guidance_scale=4.0, steps=2, **named)
    assert apart(make(engine, request), in_bytes(theirs)) <= 1


@pytest.fixture(scope="module")
def flux2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    stock = tiny_editors.flux2()
    return stock, tiny_editors.save(stock, tmp_path_factory.mktemp("flux2") / "dev", tokenizer="PixtralProcessor")


def test_a_missing_library_is_named_before_loading(
    engine: DiffusionEngine,
    a_request: ARequest,
    editors: dict[str, Path],
    init: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(editors["klein"], tmp_path / "vl")
    index = json.loads((tmp_path / "vl" / "model_index.json").read_text())
    index |= {"_class_name": "QwenImageEditPipeline", "processor": ["transformers", "Qwen3VLProcessor"]}
    (tmp_path / "vl" / "model_index.json").write_text(json.dumps(index))
    monkeypatch.setattr("invoke.engine.components.processors.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="its Qwen3VLProcessor needs torchvision, which is not installed"):
        events(engine, a_request(model=tmp_path / "vl", init_image=init, strength=1.0))


def _euler(pipeline: Any) -> Any:
    pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    return pipeline


def _pixels(happened: Any) -> torch.Tensor:
    from tests.engine.making import pixels

    return torch.from_numpy(pixels(happened).copy())

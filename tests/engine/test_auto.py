"""Families that run in diffusers' pipelines: the same pictures, and the promises of our own."""

import json
import shutil
import weakref
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import enumerate as enumerate_threads
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

from invoke.engine.components.devices import Placement
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.families.auto import Auto
from invoke.engine.img2img.prepared import Prepared, prepare_init
from invoke.engine.loading.load import load
from invoke.engine.loading.model_pool import ModelPool, weight
from invoke.engine.pipeline.draw import draw
from invoke.engine.pipeline.latents import LatentCache
from invoke.errors import InvokeError, ModelError
from invoke.events import NO_PREVIEWS, Previews, Step
from invoke.images import open_picture
from invoke.models import ModelSpec, Registry
from invoke.request import Request, steps_left
from tests import tiny_kandinsky, tiny_transformers
from tests.engine.making import disc, events, finished, make, notes, pixels, save, scene, started, with_alpha
from tests.engine.stock import encoded, holed, in_bytes, run
from tests.making import ARequest

PLACE = Placement(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    made = {
        "sd3": tiny_transformers.sd3(),
        "flux": tiny_transformers.flux(),
        "schnell": tiny_transformers.flux(is_told_guidance=False),
        "pixart": tiny_transformers.pixart(),
    }
    for name, pipeline in made.items():
        pipeline.save_pretrained(folder / name)
    return {name: folder / name for name in made}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("pictures") / "init.png", scene())


@pytest.mark.parametrize("name", ["sd3", "flux", "schnell", "pixart"])
@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_text_to_image_matches_the_pipeline(
    name: str, size: tuple[int, int], engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path]
) -> None:
    width, height = size
    stock = diffusers.AutoPipelineForText2Image.from_pretrained(str(models[name]))
    theirs = stock("a fire", width=width, height=height, guidance_scale=7.5, **run())
    assert np.array_equal(make(engine, a_request(model=models[name], width=width, height=height)), in_bytes(theirs))


@pytest.mark.parametrize("name", ["sd3", "flux"])
@pytest.mark.parametrize("strength", [0.5, 0.75])
def test_image_to_image_matches_the_pipeline(  # noqa: PLR0917 - filled in by pytest
    name: str, strength: float, engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path], tmp_path: Path
) -> None:
    path = save(tmp_path / "init.png", scene())
    stock = diffusers.AutoPipelineForImage2Image.from_pretrained(str(models[name]))
    theirs = stock(
        "a fire", image=Image.open(path), strength=strength, width=64, height=64, guidance_scale=7.5, **run()
    )
    assert np.array_equal(
        make(engine, a_request(model=models[name], init_image=path, strength=strength)), in_bytes(theirs)
    )


@pytest.mark.parametrize("name", ["sd3", "flux"])
@pytest.mark.parametrize("strength", [0.75, 1.0])
def test_inpainting_matches_the_pipeline(  # noqa: PLR0917 - filled in by pytest
    name: str, strength: float, engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path], tmp_path: Path
) -> None:
    path, repaint_mask, arguments = holed(tmp_path)
    request = a_request(model=models[name], init_image=path, strength=strength, mask_blur=0)
    stock = diffusers.AutoPipelineForInpainting.from_pretrained(str(models[name]))
    theirs = stock(
        "a fire",
        **arguments | {"image": encoded(request)},
        strength=strength,
        width=64,
        height=64,
        guidance_scale=7.5,
        **run(),
    )
    ours = make(engine, request)
    assert np.array_equal(ours[repaint_mask], in_bytes(theirs)[repaint_mask])
    assert np.array_equal(ours[~repaint_mask], scene()[~repaint_mask])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("sd3", {"guidance_scale": 7.5}), ("schnell", {"true_cfg_scale": 7.5})],
)
def test_a_negative_prompt_matches_the_pipeline(
    name: str, arguments: dict[str, float], engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path]
) -> None:
    stock = diffusers.AutoPipelineForText2Image.from_pretrained(str(models[name]))
    theirs = stock("a fire", negative_prompt="a cat", width=64, height=64, **arguments, **run())
    ours = make(engine, a_request(model=models[name], negative_prompt="a cat"))
    assert np.array_equal(ours, in_bytes(theirs))
    assert not np.array_equal(ours, make(engine, a_request(model=models[name])))


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_strength_1_gives_the_text_to_image_picture(
    name: str, engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path], tmp_path: Path
) -> None:
    path = save(tmp_path / "init.png", scene(90, 70))
    happened = events(engine, a_request(model=models[name], init_image=path, strength=1.0))
    assert np.array_equal(pixels(happened), make(engine, a_request(model=models[name])))
    assert started(happened).mode == "img2img"


@settings(max_examples=25)
@given(steps=st.integers(1, 12), percent=st.integers(1, 100))
@example(steps=10, percent=75)
@example(steps=10, percent=5)
def test_a_strength_takes_the_planned_steps(  # noqa: PLR0917 - filled in by pytest
    steps: int, percent: int, engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path], picture: Path
) -> None:
    strength = percent / 100
    happened = events(engine, a_request(model=models["schnell"], init_image=picture, steps=steps, strength=strength))
    taken = steps_left(steps, strength)
    assert started(happened).total == finished(happened).facts.steps_taken == taken
    assert [event.index for event in happened if isinstance(event, Step)] == list(range(taken + 1))


@pytest.mark.parametrize("name", ["sd3", "flux"])
@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
def test_opaque_pixels_are_kept_for_any_hole(  # noqa: PLR0917 - filled in by pytest
    name: str, strength: float, engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path], tmp_path: Path
) -> None:
    repaint_mask = disc(70, 66, 17)
    path = with_alpha(tmp_path / "holed.png", scene(70, 66), np.where(repaint_mask, 0, 255))
    happened = events(engine, a_request(model=models[name], init_image=path, strength=strength))
    kept = make(engine, a_request(model=models[name], init_image=path, strength=0.0))
    changed = (pixels(happened) != kept).any(axis=-1)
    assert changed[disc(64, 64, 6)].all()
    assert not changed[~disc(64, 64, 18)].any()


def test_outcrop_extends_the_canvas(
    engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path], picture: Path
) -> None:
    happened = events(engine, a_request(model=models["sd3"], init_image=picture, outcrop=("right", 40)))
    assert pixels(happened).shape == (64, 104, 3)
    assert np.array_equal(pixels(happened)[:, :64], scene())


@pytest.mark.parametrize("name", ["sd3", "flux"])
@pytest.mark.parametrize("decoder", ["linear", "vae"])
def test_steps_have_previews(
    name: str, decoder: str, engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path]
) -> None:
    previews = Previews(2, decoder=decoder)  # type: ignore[arg-type]
    happened = list(engine.generate(a_request(model=models[name], width=96), previews=previews))
    steps = [event for event in happened if isinstance(event, Step)]
    # before the first call, nobody says what the latents are
    assert [step.image is not None for step in steps] == [False, False, True, False, True]
    last = steps[-1].image
    assert last is not None
    if decoder == "vae":
        assert last == finished(happened).image
    assert np.array_equal(pixels(happened), make(engine, a_request(model=models[name], width=96)))


def test_unknown_latents_have_no_previews(
    engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path]
) -> None:
    happened = list(engine.generate(a_request(model=models["pixart"]), previews=Previews(1)))
    steps = [event for event in happened if isinstance(event, Step)]
    assert [(step.index, step.image) for step in steps] == [(index, None) for index in range(5)]
    assert notes(happened) == [f"previews are not available: {models['pixart']} has an unknown kind of latents"]


def test_unavailable_previews_and_tokens_are_noted(
    engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path]
) -> None:
    output = engine.generate(a_request(model=models["sd3"]), previews=Previews(1, of="clean", tokens=True))
    assert notes(output) == [
        f"steps show the latents as they are: {models['sd3']} does not report its predictions",
        f"-t has no effect with {models['sd3']}: its tokens are not available",
    ]


def _drawn(model: Auto, request: Request, prepared: Prepared | None) -> Any:
    """The image that the generator returns."""
    running = model.draw(request, prepared, NO_PREVIEWS)
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value[0].numpy()


def test_closing_the_generator_stops_the_pipeline_at_its_step(a_request: ARequest, models: dict[str, Path]) -> None:
    model = load(ModelSpec(name="tiny", weights=str(models["sd3"]), family="auto"), PLACE)
    assert isinstance(model, Auto)
    calls = []
    model.pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    request = a_request(model="tiny", steps=6)
    whole = _drawn(model, request, None)
    del calls[:]
    with closing(model.draw(request, None, NO_PREVIEWS)) as drawing:
        assert next(event for event in drawing if isinstance(event, Step) and event.index == 2)
    assert len(calls) == 2
    assert "inverted" not in {thread.name for thread in enumerate_threads()}
    assert np.array_equal(_drawn(model, request, None), whole)


def test_offloaded_networks_draw_the_same_picture(a_request: ARequest, models: dict[str, Path], picture: Path) -> None:
    drawn = []
    for place in (PLACE, replace(PLACE, offload="model"), replace(PLACE, offload="group")):
        model = load(ModelSpec(name="tiny", weights=str(models["sd3"]), family="auto"), place)
        assert isinstance(model, Auto)
        request = a_request(init_image=picture, strength=0.5)
        prepared = prepare_init(request, open_picture(str(picture)), lambda *_: pytest.fail("no words are looked for"))
        for start in (None, prepared):
            drawn.append(_drawn(model, request, start).tolist())
    assert drawn[:2] == drawn[2:4] == drawn[4:]


def test_pipelines_of_all_modes_share_networks(
    a_request: ARequest, models: dict[str, Path], picture: Path, tmp_path: Path
) -> None:
    pool = ModelPool(Registry({}), PLACE, offline=True)
    name, latent_cache = str(models["sd3"]), LatentCache()
    model = pool.any_model(name)
    assert isinstance(model, Auto)
    list(draw(model, pool, a_request(model=name), None, latent_cache, NO_PREVIEWS))
    before = pool.bytes
    for mode in ("img2img", "inpaint"):
        assert model._pipeline(mode).transformer is model.pipeline.transformer  # type: ignore[arg-type]
    assert pool.bytes == before > 0


def test_switching_families_frees_the_previous_one(models: dict[str, Path], tmp_path: Path) -> None:
    kandinsky = tiny_kandinsky.save(tmp_path / "tiny")
    pool = ModelPool(Registry({}), PLACE, offline=True, budget=1)
    seen = []
    for folder in (models["sd3"], kandinsky, models["flux"], models["sd3"]):
        model = pool.any_model(str(folder))
        seen.append(weakref.ref(model.vae))
        assert pool.bytes == weight(model)
        del model
    assert [vae() is None for vae in seen] == [True, True, True, False]


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("sd3", {"karras": True}, "does not support karras"),
        ("sd3", {"scheduler": "k_heun"}, "does not support scheduler"),
        ("sd3", {"variations": ((1, 0.1),)}, "does not support variations"),
        ("sd3", {"prompt": "a fire++"}, "takes plain prompts"),
        ("sd3", {"width": 72}, "have to be divisible by 16"),
        ("pixart", {"init_image": "picture"}, "diffusers has no image-to-image for its family"),
        ("flux", {"width": 72}, "the sides of .* pictures must be multiples of 16"),
        ("flux", {"negative_prompt": "a cat"}, "--negative_prompt: .* does not support it"),
        ("flux", {"inpaint_replace": 0.5}, "does not support inpaint_replace"),
        ("flux", {"refiner": ("itself", 0.8)}, "does not support refiner"),
    ],
)
def test_unsupported_arguments_are_refused_before_the_pipeline_runs(  # noqa: PLR0917 - filled in by pytest
    name: str,
    changes: dict[str, Any],
    sentence: str,
    engine: DiffusionEngine,
    a_request: ARequest,
    models: dict[str, Path],
    picture: Path,
) -> None:
    meant = {"picture": picture, ("itself", 0.8): (str(models[name]), 0.8)}
    changes = {key: meant.get(value, value) for key, value in changes.items()}
    output = engine.generate(a_request(model=models[name], **changes))
    with pytest.raises(InvokeError, match=sentence):
        assert not [event for event in output if isinstance(event, Step) and event.index]


def test_guidance_without_effect_is_noted(
    engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path]
) -> None:
    schnell = models["schnell"]
    assert notes(events(engine, a_request(model=schnell))) == []
    happened = events(engine, a_request(model=schnell, guidance_scale=3.0))
    assert notes(happened) == [f"-C has no effect with {schnell} without a negative prompt"]
    assert notes(events(engine, a_request(model=models["flux"], guidance_scale=3.0))) == []


def test_the_prompt_reaches_the_pipeline_unchanged(
    engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path]
) -> None:
    stock = diffusers.AutoPipelineForText2Image.from_pretrained(str(models["sd3"]))
    words = 'a sign that says "C++", (very) bright'
    theirs = stock(words, negative_prompt="dull", width=64, height=64, guidance_scale=7.5, **run())
    ours = make(engine, a_request(model=models["sd3"], prompt=r'a sign that says "C\+\+", (very) bright [dull]'))
    assert np.array_equal(ours, in_bytes(theirs))


def test_words_beyond_the_token_limit_are_named(
    engine: DiffusionEngine, a_request: ARequest, models: dict[str, Path]
) -> None:
    clip_only = "a fire " * 30
    assert notes(events(engine, a_request(model=models["sd3"], prompt=clip_only))) == []
    happened = events(engine, a_request(model=models["sd3"], prompt=clip_only * 5 + "zebra"))
    assert notes(happened)[0].startswith("the prompt is too long for this model; ignored: ")
    assert notes(happened)[0].endswith("zebra")


def test_a_model_in_its_own_pipeline_cannot_be_combined(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, models: dict[str, Path]
) -> None:
    with pytest.raises(ModelError, match="runs in its own diffusers pipeline"):
        events(engine, a_request(model=folder, refiner=(str(models["sd3"]), 0.5)))


def test_a_text_encoder_whose_file_lacks_tensors_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    """transformers would fill them with random numbers."""
    shutil.copytree(models["sd3"], tmp_path / "odd")
    (path,) = (tmp_path / "odd" / "text_encoder_3").glob("*.safetensors")
    save_file({k: v for k, v in load_file(path).items() if "final_layer_norm" not in k}, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"odd: cannot be loaded: its files lack tensors .*final_layer_norm\.weight"):
        load(ModelSpec(name="odd", weights=str(tmp_path / "odd"), family="auto"), PLACE)


def test_a_folder_without_a_suitable_pipeline_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(models["sd3"], tmp_path / "odd")
    index = json.loads((tmp_path / "odd" / "model_index.json").read_text())
    (tmp_path / "odd" / "model_index.json").write_text(json.dumps(index | {"_class_name": "OddPipeline"}))
    with pytest.raises(ModelError, match="diffusers has no text-to-image pipeline for the family Odd"):
        load(ModelSpec(name="odd", weights=str(tmp_path / "odd"), family="auto"), PLACE)

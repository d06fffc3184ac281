"""Kandinsky 2.2: the same pictures as diffusers' own pipelines, and what it shares with every other model.

Seeds are the only difference: the pipelines draw prior and decoder from one generator, here each starts its own.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from invoke.engine.components.devices import Placement
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.families.kandinsky import Kandinsky
from invoke.engine.families.kandinsky_prior import STEPS
from invoke.engine.loading.load import load
from invoke.engine.sampling import noise
from invoke.errors import ModelError, RequestError
from invoke.events import Previews
from invoke.models import ModelSpec
from invoke.options import Offload
from tests import tiny_kandinsky
from tests.engine.making import asked, disc, events, finished, make, notes, pixels, save, scene, started, with_alpha
from tests.engine.stock import apart, as_float, generator, holed, in_bytes, run, stock_pipeline
from tests.making import ARequest

PLACE = Placement(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def kandinsky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_kandinsky.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def inpainter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_kandinsky.save(tmp_path_factory.mktemp("models") / "tiny9", channels=9)


@pytest.mark.parametrize("negative", ["", "a cat"])
@pytest.mark.parametrize("guidance_scale", [4.0, 1.0])
def test_text_to_image_matches_the_pipeline(
    negative: str, guidance_scale: float, engine: DiffusionEngine, a_request: ARequest, kandinsky: Path
) -> None:
    request = a_request(
        model=kandinsky, negative_prompt=negative, guidance_scale=guidance_scale, scheduler="ddim", width=96, height=64
    )
    theirs = _stock("KandinskyV22Pipeline", kandinsky)(
        **_shown(kandinsky, negative if guidance_scale > 1 else ""),
        guidance_scale=guidance_scale,
        width=96,
        height=64,
        **run(),
    )
    assert np.array_equal(make(engine, request), in_bytes(theirs))


@pytest.mark.parametrize("strength", [0.5, 0.75])
def test_image_to_image_matches_the_pipeline(
    strength: float, engine: DiffusionEngine, a_request: ARequest, kandinsky: Path, tmp_path: Path
) -> None:
    path = save(tmp_path / "init.png", scene())
    theirs = _stock("KandinskyV22Img2ImgPipeline", kandinsky)(
        **_shown(kandinsky),
        image=Image.open(path),
        strength=strength,
        guidance_scale=7.5,
        width=64,
        height=64,
        **run(),
    )
    ours = make(engine, a_request(model=kandinsky, init_image=path, strength=strength, scheduler="ddim"))
    # within rounding: the pipeline lays its picture out otherwise in memory before it is encoded
    assert apart(ours, in_bytes(theirs)) <= 1


def test_inpainting_with_nine_channels_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, inpainter: Path, tmp_path: Path
) -> None:
    path, repaint_mask, arguments = holed(tmp_path, cell=4)
    # the pipeline always begins from noise
    request = a_request(model=inpainter, init_image=path, strength=1.0, mask_blur=0, scheduler="ddim")
    theirs = _stock("KandinskyV22InpaintPipeline", inpainter)(
        **_shown(inpainter),
        **arguments | {"image": as_float(request), "mask_image": torch.from_numpy(repaint_mask)[None, None].float()},
        guidance_scale=7.5,
        width=64,
        height=64,
        **run(),
    )
    ours = make(engine, request)
    assert apart(ours[repaint_mask], in_bytes(theirs)[repaint_mask]) <= 1
    assert np.array_equal(ours[~repaint_mask], scene()[~repaint_mask])


@pytest.mark.parametrize("sampler", ["ddpm", "k_euler_a", "k_dpmpp_2", "k_lms", "plms"])
def test_every_sampler_works_and_strength_1_ignores_the_original(
    sampler: str, engine: DiffusionEngine, a_request: ARequest, kandinsky: Path, tmp_path: Path
) -> None:
    path = save(tmp_path / "init.png", scene(90, 70))
    drawn = make(engine, a_request(model=kandinsky, scheduler=sampler))
    assert np.array_equal(
        make(engine, a_request(model=kandinsky, scheduler=sampler, init_image=path, strength=1.0)), drawn
    )
    assert np.ptp(drawn) > 0


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_opaque_pixels_are_kept_for_any_hole(  # noqa: PLR0917 - filled in by pytest
    channels: int,
    strength: float,
    engine: DiffusionEngine,
    a_request: ARequest,
    kandinsky: Path,
    inpainter: Path,
    tmp_path: Path,
) -> None:
    repaint_mask = disc(70, 66, 17)
    path = with_alpha(tmp_path / "holed.png", scene(70, 66), np.where(repaint_mask, 0, 255))
    model = {4: kandinsky, 9: inpainter}[channels]
    happened = events(engine, a_request(model=model, init_image=path, strength=strength))
    prepared = make(engine, a_request(model=model, init_image=path, strength=0.0))
    changed = (pixels(happened) != prepared).any(axis=-1)
    assert changed.any()
    assert not changed[~disc(64, 64, 18)].any()
    assert started(happened).mode == "inpaint"


def test_prior_and_decoder_in_one_folder_draw_the_same_picture(
    engine: DiffusionEngine, a_request: ARequest, kandinsky: Path, tmp_path: Path
) -> None:
    together = tiny_kandinsky.save_combined(tmp_path / "together")
    one, two = (finished(events(engine, a_request(model=model))) for model in (kandinsky, together))
    assert one.image == two.image
    assert one.facts.hashes["model"]
    assert two.facts.hashes["model"]


def test_the_prior_runs_once_for_the_same_prompt_and_seed(a_request: ARequest, kandinsky: Path) -> None:
    model = load(_spec(kandinsky), PLACE)
    assert isinstance(model, Kandinsky)
    asked = []
    model.prior.pipeline.prior.register_forward_hook(lambda *_: asked.append(1))
    first = model.condition(a_request(seed=1))
    assert len(asked) == STEPS
    again = model.condition(a_request(seed=1, steps=9, init_image="x.png", strength=0.2))
    assert again.prompt.embeds is first.prompt.embeds
    assert len(asked) == STEPS
    other = model.condition(a_request(seed=2)).prompt.embeds
    assert not torch.equal(other, first.prompt.embeds)


def test_variations_change_the_noise_but_not_the_image_embedding(a_request: ARequest, kandinsky: Path) -> None:
    model = load(_spec(kandinsky), PLACE)
    assert isinstance(model, Kandinsky)
    plain, varied = (model.condition(a_request(variations=each)).prompt.embeds for each in ((), ((7, 0.2),)))
    assert torch.equal(plain, varied)


def test_rolling_the_noise_rolls_a_seamless_picture(
    engine: DiffusionEngine, a_request: ARequest, kandinsky: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = a_request(model=kandinsky, seamless=True, scheduler="ddim")
    still = make(engine, request)
    cells = tiny_kandinsky.MULTIPLE // 4
    monkeypatch.setattr(noise, "_draw", _rolled(noise._draw, cells))
    rolled = make(engine, request)
    assert abs(np.roll(still, tiny_kandinsky.MULTIPLE, axis=1).astype(int) - rolled.astype(int)).max() <= 1


def test_hires_fix_uses_a_common_multiple_for_both_passes(
    engine: DiffusionEngine, a_request: ARequest, kandinsky: Path
) -> None:
    happened = events(
        engine, a_request(model=kandinsky, hires_fix=True, strength=0.5, width=112, height=96, scheduler="ddim")
    )
    assert pixels(happened).shape == (96, 112, 3)
    assert started(happened).total == 4 + 2


def test_words_beyond_the_token_limit_are_named(engine: DiffusionEngine, a_request: ARequest, kandinsky: Path) -> None:
    happened = events(engine, a_request(model=kandinsky, prompt="the cat and " * 30 + "zebra"))
    assert notes(happened)[0].startswith("the prompt is too long for this model; ignored: ")
    assert notes(happened)[0].endswith("zebra")


def test_log_tokenization_shows_the_tokens(engine: DiffusionEngine, a_request: ARequest, kandinsky: Path) -> None:
    request = a_request(model=kandinsky, prompt="the cat [a fire]")
    happened = list(engine.generate(request, previews=Previews(tokens=True)))
    assert notes(happened) == [
        "prompt: tokens 1 to 2 of 2: 1 the · 2 cat",
        "negative prompt: tokens 1 to 2 of 2: 1 a · 2 fire",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": "a fire++"}, "takes plain prompts"),
        ({"prompt": '("a", "b").blend(1, 1)'}, "takes plain prompts"),
        ({"width": 72}, "the sides of this model's pictures must be multiples of 16"),
    ],
)
def test_unsupported_features_are_refused(
    changes: dict[str, Any], sentence: str, engine: DiffusionEngine, a_request: ARequest, kandinsky: Path
) -> None:
    with pytest.raises(RequestError, match=sentence):
        events(engine, a_request(model=kandinsky, **changes))


@pytest.mark.parametrize("offload", ["model", "group", "sequential"])
def test_offloaded_networks_draw_the_same_picture(offload: Offload, a_request: ARequest, kandinsky: Path) -> None:
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    drawn = []
    for place in (PLACE, replace(PLACE, offload=offload)):
        model = load(_spec(kandinsky), place)
        assert isinstance(model, Kandinsky)
        predict = model.predict(a_request(), model.condition(a_request()), (64, 64), None)
        with torch.no_grad():
            drawn.append(
                (asked(predict(x, torch.tensor(500), 0)), model.decode(x), model.encode(torch.ones(64, 64, 3) / 2))
            )
    assert all(torch.equal(here, elsewhere) for here, elsewhere in zip(*drawn, strict=True))


def test_a_decoder_without_prior_is_refused_with_a_hint(kandinsky: Path, tmp_path: Path) -> None:
    shutil.copytree(kandinsky, tmp_path / "alone")
    with pytest.raises(ModelError, match="needs its prior, but none is named"):
        load(_spec(tmp_path / "alone", prior=""), PLACE)
    with pytest.raises(ModelError, match=r"alone does not hold a Kandinsky 2\.2 prior"):
        load(_spec(tmp_path / "alone", prior=str(tmp_path / "alone")), PLACE)


def _spec(folder: Path, prior: str | None = None) -> ModelSpec:
    beside = str(folder).replace("decoder", "prior") if prior is None else prior
    return ModelSpec(name="tiny", weights=str(folder), family="kandinsky", prior=beside)


def _rolled(draw: Callable[..., Any], cells: int) -> Callable[..., Any]:
    def drawn(seed: int, shape: tuple[int, int, int, int]) -> Any:
        field, generator = draw(seed, shape)
        return field.roll(cells, dims=3), generator

    return drawn


def _stock(pipeline: str, folder: Path) -> Any:
    loaded = stock_pipeline(pipeline, folder)
    config = {key: value for key, value in loaded.scheduler.config.items() if key != "variance_type"}
    loaded.scheduler = diffusers.DDIMScheduler.from_config(config, clip_sample=False, set_alpha_to_one=False)
    return loaded


def _shown(folder: Path, negative: str = "") -> Any:
    """What the prior makes of "a fire" with the seed 42."""
    prior = diffusers.KandinskyV22PriorPipeline.from_pretrained(str(folder).replace("decoder", "prior"))
    prior.set_progress_bar_config(disable=True)
    return prior("a fire", negative_prompt=negative or None, generator=generator())

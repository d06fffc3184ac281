"""`--strength_map`: black keeps, white redraws, and each place between is redrawn as a run of its strength does it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.img2img.prepared import _repainted
from invoke.images import open_picture
from invoke.request import Request, steps_left
from invoke.samplers import SAMPLERS
from tests import tiny_kandinsky
from tests.engine.making import Array, disc, events, make, pixels, scene, started
from tests.engine.stock import apart, generator, stock_pipeline
from tests.making import ARequest

SIZE = (64, 64)


def _map(path: Path, levels: Array | int) -> Path:
    Image.fromarray(np.broadcast_to(np.asarray(levels, np.uint8), SIZE).copy()).save(path)
    return path


def _graded(a_request: ARequest, strength_map: Path, **changes: object) -> Request:
    """As planned: the strength is that of the brightest place."""
    highest = np.asarray(open_picture(str(strength_map)).as_map).max() / 255
    return a_request(strength_map=strength_map, strength=float(highest), **changes)


@pytest.fixture(scope="module")
def kandinsky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_kandinsky.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize(
    ("level", "sampler"),
    [*((102, name) for name in sorted(SAMPLERS)), (128, "k_euler"), (255, "k_euler"), (255, "plms"), (1, "k_heun")],
)
def test_a_flat_grey_map_equals_that_strength(  # noqa: PLR0917 - filled in by pytest
    level: int, sampler: str, engine: DiffusionEngine, a_request: ARequest, init: Path, tmp_path: Path
) -> None:
    flat = _map(tmp_path / "flat.png", level)
    arguments = {"init_image": init, "scheduler": sampler, "steps": 5}
    graded = make(engine, _graded(a_request, flat, **arguments))
    assert np.array_equal(graded, make(engine, a_request(strength=level / 255, **arguments)))


@pytest.mark.parametrize("family", ["nine channels", "xl", "kandinsky"])
def test_a_flat_grey_map_equals_that_strength_in_every_family(  # noqa: PLR0917
    family: str,
    engine: DiffusionEngine,
    a_request: ARequest,
    init: Path,
    inpainting_folder: Path,
    xl_of: Callable[[int], Path],
    kandinsky: Path,
    tmp_path: Path,
) -> None:
    model = {"nine channels": inpainting_folder, "xl": xl_of(4), "kandinsky": kandinsky}[family]
    arguments = {"init_image": init, "model": model, "scheduler": "ddim"}
    graded = make(engine, _graded(a_request, _map(tmp_path / "flat.png", 153), **arguments))
    assert np.array_equal(graded, make(engine, a_request(strength=0.6, **arguments)))
    half = np.where(np.arange(64) < 32, 0, 255)
    kept = make(engine, _graded(a_request, _map(tmp_path / "half.png", half), **arguments))[:, :32]
    assert np.array_equal(kept, scene()[:, :32])


@pytest.mark.parametrize("sampler", ["k_euler", "k_heun", "plms", "k_dpm_2_a", "k_dpmpp_2", "lcm"])
@pytest.mark.parametrize("channels", [4, 9])
def test_black_parts_of_a_map_are_unchanged(  # noqa: PLR0917
    sampler: str,
    channels: int,
    engine: DiffusionEngine,
    a_request: ARequest,
    init: Path,
    model_of: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    levels = np.where(disc(), 0, np.linspace(20, 255, 64).astype(int)[:, None])
    request = _graded(
        a_request,
        _map(tmp_path / "map.png", levels),
        init_image=init,
        model=model_of(channels),
        scheduler=sampler,
        steps=6,
    )
    happened = events(engine, request)
    assert np.array_equal(pixels(happened)[disc()], scene()[disc()])
    assert apart(pixels(happened)[~disc()], scene()[~disc()]) > 5
    assert started(happened).mode == "inpaint"


def test_a_black_map_gives_the_original_without_loading_a_model(
    engine: DiffusionEngine, a_request: ARequest, init: Path
) -> None:
    black = _map(init.with_name("black.png"), 0)
    assert np.array_equal(make(engine, _graded(a_request, black, init_image=init, model="none")), scene())


@pytest.mark.usefixtures("posterior_mode")
@pytest.mark.parametrize("sampler", ["ddim", "k_euler"])
def test_a_gradient_map_matches_the_paper(  # noqa: PLR0917
    sampler: str, engine: DiffusionEngine, a_request: ARequest, init: Path, folder: Path, tmp_path: Path
) -> None:
    """Levin and Fried (2023), algorithm 1, implemented with the stock networks, for a map of whole latent cells."""
    steps, column = 10, np.array([255, 230, 179, 153, 128, 77, 51, 26], np.uint8)
    levels = np.repeat(np.repeat(np.tile(column, (8, 1)), 8, 0), 8, 1)
    request = _graded(a_request, _map(tmp_path / "map.png", levels), init_image=init, scheduler=sampler, steps=steps)
    theirs = _reference(folder, sampler, steps, np.tile(column, (8, 1)))
    assert apart(make(engine, request), theirs) <= 1


def test_soft_uses_the_grey_of_the_mask(
    engine: DiffusionEngine, a_request: ARequest, init: Path, tmp_path: Path
) -> None:
    levels = np.where(disc(), np.linspace(0, 255, 64).astype(int)[:, None], 0)
    graded = make(engine, _graded(a_request, _map(tmp_path / "map.png", levels), init_image=init))
    mask = _map(tmp_path / "mask.png", 255 - levels)
    soft = {"init_image": init, "soft": True, "strength": float(levels.max()) / 255}
    assert np.array_equal(make(engine, a_request(mask_image=mask, **soft)), graded)
    white = tmp_path / "map.png"
    assert np.array_equal(make(engine, a_request(mask_image=white, invert_mask=True, **soft)), graded)


def test_a_map_applies_only_inside_the_mask(
    engine: DiffusionEngine, a_request: ARequest, init: Path, tmp_path: Path
) -> None:
    """The mask decides where, the map how much: a uniform map equals the mask at that strength."""
    mask, flat = _map(tmp_path / "mask.png", np.where(disc(), 0, 255)), _map(tmp_path / "flat.png", 153)
    arguments = {"init_image": init, "mask_image": mask, "inpaint_replace": 0.3}
    alone = make(engine, a_request(strength=0.6, **arguments))
    assert np.array_equal(make(engine, _graded(a_request, flat, **arguments)), alone)


@pytest.mark.parametrize(
    "more",
    [
        {"seamless": True},
        {"reuse": 2},
        {"batch_size": 2},
        {"h_symmetry_time_pct": 0.5},
        {"refiner": "self"},
        {"pag_scale": 3.0},
    ],
)
def test_a_flat_grey_map_works_with_batch_size(  # noqa: PLR0917
    more: dict[str, object], engine: DiffusionEngine, a_request: ARequest, init: Path, folder: Path, tmp_path: Path
) -> None:
    more = {"refiner": (str(folder), 0.5)} if "refiner" in more else more
    arguments = {"init_image": init, "steps": 6, **more}
    graded = make(engine, _graded(a_request, _map(tmp_path / "flat.png", 153), **arguments))
    assert np.array_equal(graded, make(engine, a_request(strength=0.6, **arguments)))


def test_a_flat_grey_map_works_in_a_chain(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    said = {"init_image": a_request(prompt="a cat"), "steps": 5}
    graded = make(engine, _graded(a_request, _map(tmp_path / "flat.png", 153), **said))
    assert np.array_equal(graded, make(engine, a_request(strength=0.6, **said)))


def _reference(folder: Path, sampler: str, steps: int, column: Array) -> Array:
    """The picture by the paper's loop and the stock networks: pixels not yet due are the noised original."""
    import diffusers

    stock = stock_pipeline("StableDiffusionImg2ImgPipeline", folder, safety_checker=None)
    kind = {"ddim": diffusers.DDIMScheduler, "k_euler": diffusers.EulerDiscreteScheduler}[sampler]
    scheduler = kind.from_config(stock.scheduler.config)
    scheduler.set_timesteps(steps)
    with torch.no_grad():
        embeds = torch.cat(stock.encode_prompt("a fire", "cpu", 1, True, "")[::-1])
        picture = stock.image_processor.preprocess(Image.fromarray(scene()))
        init = stock.vae.encode(picture).latent_dist.mode() * stock.vae.config.scaling_factor
        noise = torch.randn(init.shape, generator=generator())
        strengths = torch.from_numpy(column.astype(int))[None, None]
        turn = torch.tensor([steps - steps_left(steps, level / 255) for level in range(256)])[strengths]
        latents = noise * scheduler.init_noise_sigma
        for index, t in enumerate(scheduler.timesteps):
            original = scheduler.add_noise(init, noise, t[None])
            kept = (turn >= index) & (strengths < 255)
            latents = torch.where(kept, original, latents)
            x = scheduler.scale_model_input(torch.cat([latents, latents]), t)
            negative, positive = stock.unet(x, t, encoder_hidden_states=embeds).sample.chunk(2)
            latents = scheduler.step(negative + 7.5 * (positive - negative), t, latents).prev_sample
        decoded = stock.vae.decode(latents / stock.vae.config.scaling_factor).sample
    return ((decoded[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).numpy()


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([None, 0, 1]))
def test_what_a_mask_keeps_or_a_map_leaves_at_0_is_not_repainted(seed: int, is_masked: bool, least: int | None) -> None:
    draw = np.random.default_rng(seed)
    keep = draw.choice(np.array([0, 128, 255], np.uint8), (5, 7)) if is_masked else None
    strengths = None if least is None else draw.integers(least, 3, (5, 7)).astype(np.uint8)
    made = _repainted(*(None if field is None else torch.from_numpy(field) for field in (keep, strengths)))
    expected = np.ones((5, 7)) if keep is None else 1 - keep / 255
    if strengths is not None:
        expected *= strengths > 0
    everything = keep is None and (strengths is None or bool(strengths.all()))
    assert (made is None) is everything
    assert made is None or made.numpy() == pytest.approx(expected, abs=1e-6)

"""Previews: what they show, that they do not change the result, and how good the linear decoder is."""

import gc
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from diffusers import AutoencoderKL, UNet2DConditionModel
from hypothesis import given
from hypothesis import strategies as st

from invoke.engine import preview
from invoke.engine.components.vae import decode_latents, encode_pixels
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.families import stable_diffusion
from invoke.engine.preview import linear_decoder
from invoke.engine.sampling.model_call import run_eager
from invoke.engine.sampling.schedules import make_schedule
from invoke.events import Pixels, Previews, Step
from invoke.images import open_picture, prepare
from invoke.language.switches import by_name
from invoke.request import Request
from invoke.samplers import SAMPLERS
from tests.engine import gaussian
from tests.engine.making import events, finished, make, pixels, save, scene
from tests.line_contexts import PICTURES
from tests.making import ARequest
from tests.tiny import SD1_SCHEDULER

EVERY_KIND = [Previews(1, *kind) for kind in product(("latents", "clean"), ("linear", "vae"))]  # type: ignore[arg-type]
WATCHED = Previews(watched=True)
POCKET = Path(preview.__file__).parent.parent / "pocket"


def shown(engine: DiffusionEngine, request: Request, previews: Previews) -> list[Pixels]:
    output = engine.generate(request, previews=previews)
    return [event.image for event in output if isinstance(event, Step) and event.image]


def test_the_switches_offer_every_kind_of_preview() -> None:
    hints = get_type_hints(Previews)
    for name, field in (("intermediates", "of"), ("intermediates_decoder", "decoder")):
        row = by_name()[name]
        assert set(row.type.suggest()) == set(get_args(hints[field]))
        assert row.default == getattr(Previews(), field)


@pytest.mark.parametrize(("every", "kept"), [(0, []), (1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4, 5]), (9, [0, 5])])
def test_previews_come_at_start_end_and_every_nth_step(
    every: int, kept: list[int], engine: DiffusionEngine, a_request: ARequest
) -> None:
    happened = list(engine.generate(a_request(steps=5), previews=Previews(every)))
    steps = [event for event in happened if isinstance(event, Step)]
    assert [step.index for step in steps if step.image] == kept
    assert {step.total for step in steps} == {5}
    assert [step.timestep for step in steps[1:]] == sorted((step.timestep for step in steps[1:]), reverse=True)


@given(st.integers(0, 12), st.integers(1, 1000))
def test_watching_shows_about_ten_previews_regardless_of_saving(every: int, total: int) -> None:
    kept, watched = Previews(every), Previews(every, watched=True)
    seen = [index for index in range(total + 1) if WATCHED.shown(index, total)]
    assert min(total, 10) <= len(seen) <= 20
    for index in range(total + 1):
        assert watched.kept(index, total) == kept.shown(index, total)
        assert watched.shown(index, total) == (kept.shown(index, total) or index in seen)


@pytest.mark.parametrize("sampler", ["k_euler_a", "k_heun", "plms", "k_dpmpp_sde"])
@pytest.mark.parametrize("effects", [{}, {"threshold": 0.8, "h_symmetry_time_pct": 0.5}], ids=["plain", "effects"])
def test_previews_do_not_change_the_result(
    sampler: str, effects: dict[str, Any], engine: DiffusionEngine, a_request: ARequest
) -> None:
    request = a_request(scheduler=sampler, **effects)
    alone = make(engine, request).tolist()
    for previews in (*EVERY_KIND, WATCHED):
        assert pixels(engine.generate(request, previews=previews)).tolist() == alone


@pytest.mark.parametrize("of", ["latents", "clean"])
def test_the_last_vae_preview_equals_the_picture(of: Any, engine: DiffusionEngine, a_request: ARequest) -> None:
    for sampler in ("k_euler", "ddim", "k_dpm_2"):
        request = a_request(scheduler=sampler)
        assert shown(engine, request, Previews(1, of, "vae"))[-1] == finished(events(engine, request)).image


def test_without_a_prediction_latents_and_clean_are_equal(engine: DiffusionEngine, a_request: ARequest) -> None:
    latents, clean = (shown(engine, a_request(), Previews(1, of)) for of in ("latents", "clean"))  # type: ignore[arg-type]
    assert [a == b for a, b in zip(latents, clean, strict=True)] == [True, False, False, False, True]


@pytest.mark.parametrize("sampler", ["k_euler", "ddim"])
def test_step_0_shows_the_input_of_the_denoiser(
    sampler: str, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same picture with the same noise, whichever variables the sampler has."""
    decoded: list[torch.Tensor] = []
    given: list[torch.Tensor] = []
    decode, look = decode_latents, UNet2DConditionModel.forward
    monkeypatch.setattr(stable_diffusion, "decode_latents", lambda vae, x: decoded.append(x) or decode(vae, x))
    monkeypatch.setattr(
        UNet2DConditionModel, "forward", lambda unet, x, *a, **k: given.append(x) or look(unet, x, *a, **k)
    )
    monkeypatch.setattr(engine, "_executor", run_eager)  # recorded calls bypass the method
    request = a_request(init_image=save(tmp_path / "a.png", scene()), scheduler=sampler, strength=0.5)
    shown(engine, request, Previews(99, decoder="vae"))
    assert torch.allclose(decoded[0], given[0][:1], atol=1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("taken", [12, 8])
def test_the_clean_preview_is_the_prediction_of_the_network(sampler: str, prediction_type: str, taken: int) -> None:
    """Against a network with a known prediction: its input is x/√(1+σ²) at a timestep."""
    config = SD1_SCHEDULER | {"prediction_type": prediction_type}
    schedule = make_schedule(config, sampler, steps=12, taken=taken)
    believed: list[torch.Tensor] = []

    def oracle(x: torch.Tensor, sigma: float) -> torch.Tensor:
        believed.append(gaussian.denoised(x, sigma))
        return believed[-1]

    latents = gaussian.start(schedule, 0, from_noise=taken == 12)
    visits = list(gaussian.denoise(gaussian.predict_with(config, oracle), schedule, latents, torch.Generator()))
    assert len(visits) == len(believed) + 1
    for visit, x0 in zip(visits[1:-1], believed, strict=False):
        assert (visit.pred_original_sample - x0).abs().mean() < 5e-3
    assert visits[-1].pred_original_sample.equal(visits[-1].latents)
    assert (visits[-1].pred_original_sample - believed[-1]).abs().mean() < 0.05


# the linear decoder


def _model(vae: AutoencoderKL) -> Any:
    """The part of a model that decodes."""
    return SimpleNamespace(
        vae=vae,
        factor=2 ** (len(vae.config.block_out_channels) - 1),
        latent_channels=vae.config.latent_channels,
        place=SimpleNamespace(device="cpu"),
        decode=lambda latents: decode_latents(vae, latents),
    )


def _pocket() -> Any:
    return _model(AutoencoderKL.from_pretrained(POCKET / "vae"))


def _stable_diffusion_vae(scaling_factor: float) -> Any:
    """Without weights: never used to decode."""
    with torch.device("meta"):
        return _model(
            AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(128, 256, 512, 512),
                layers_per_block=2,
                latent_channels=4,
                scaling_factor=scaling_factor,
            )
        )


def test_the_linear_decoder_has_the_colours_of_the_vae() -> None:
    """Cell by cell, on pictures that it was not fitted to: 10 of 255 levels off, where one grey for all is 37 off."""
    model = _pocket()
    decoder = linear_decoder(model)
    apart, guessed = [], []
    for name in ("fire-drawing.png", "rotated.jpg", "tree-and-river-sketch.png"):
        picture = torch.from_numpy(np.array(prepare(open_picture(PICTURES / name).image, 256, 256))).float() / 255
        latents = encode_pixels(model.vae, picture)
        exact, estimate = model.decode(latents), decoder(latents)
        assert estimate.shape == (1, 3, 64, 64)
        cells = F.avg_pool2d(exact, 16)
        apart.append(float((F.avg_pool2d(estimate, 4) - cells).abs().mean()) * 127.5)
        guessed.append(float((cells - cells.mean()).abs().mean()) * 127.5)
    assert max(apart) < 20
    assert np.mean(apart) < np.mean(guessed) / 3


def test_the_linear_decoder_shows_no_grid_in_flat_areas() -> None:
    latents = torch.randn(1, 4, 1, 1, generator=torch.Generator().manual_seed(1)).expand(1, 4, 6, 6)
    estimate = linear_decoder(_pocket())(latents)
    assert torch.allclose(estimate, estimate.mean((2, 3), keepdim=True).expand_as(estimate), atol=1e-5)


def test_the_linear_decoder_is_fitted_once_per_vae_deterministically() -> None:
    model = _pocket()
    asked: list[int] = []
    counted = SimpleNamespace(**vars(model) | {"decode": lambda latents: asked.append(1) or model.decode(latents)})
    first = linear_decoder(counted)  # type: ignore[arg-type]
    assert len(asked) == preview.FIELDS
    assert linear_decoder(counted) is first  # type: ignore[arg-type]
    assert len(asked) == preview.FIELDS
    assert linear_decoder(_pocket()).weight.equal(first.weight)


def test_the_linear_decoder_is_freed_with_its_vae() -> None:
    linear_decoder(_pocket())
    gc.collect()
    before = len(preview._fitted)
    model = _pocket()
    linear_decoder(model)
    assert len(preview._fitted) == before + 1
    del model
    gc.collect()
    assert len(preview._fitted) == before


@pytest.mark.parametrize("scaling_factor", [0.18215, 0.13025])
def test_the_linear_decoder_of_stable_diffusion_is_built_in(scaling_factor: float) -> None:
    model = _stable_diffusion_vae(scaling_factor)
    white, black = linear_decoder(model), linear_decoder(_stable_diffusion_vae(scaling_factor))
    assert white is black
    assert white(torch.randn(1, 4, 8, 12)).shape == (1, 3, 8, 12)


def test_a_preview_is_a_quarter_of_the_picture(engine: DiffusionEngine, a_request: ARequest) -> None:
    assert {(image.width, image.height) for image in shown(engine, a_request(width=96), Previews(1))} == {(24, 16)}

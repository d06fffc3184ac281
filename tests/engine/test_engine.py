"""What every engine promises: reproducible pictures, no leftover state, and clear errors."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from invoke.engine.components.vae import decode_latents, encode_pixels
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.families import stable_diffusion
from invoke.engine.img2img.prepared import prepare_init
from invoke.errors import EngineError, ModelError, RequestError
from invoke.events import Started, Step
from invoke.models import Registry
from invoke.options import EngineOptions
from tests import tiny
from tests.engine.making import disc, events, finished, make, notes, pixels, save, scene, with_alpha
from tests.making import ARequest


@pytest.mark.parametrize("sampler", ["k_lms", "k_euler_a", "k_dpmpp_sde", "plms", "lcm"])
def test_the_same_request_gives_the_same_bytes_alone_and_after_others(
    sampler: str, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    request = a_request(scheduler=sampler, init_image=save(tmp_path / "a.png", scene()))
    alone = make(DiffusionEngine(Registry({})), request)
    torch.manual_seed(1)
    for other in (a_request(seed=5), a_request(width=96, scheduler="k_heun"), a_request(scheduler=sampler, steps=9)):
        make(engine, other)
    assert make(engine, request).tolist() == make(engine, request).tolist() == alone.tolist()


def test_networks_are_restored_after_a_seamless_picture(
    engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    request = a_request(init_image=save(tmp_path / "a.png", scene()), seed=77)
    first = make(engine, a_request(init_image=request.init_image, seed=77, seamless=True))
    plain = make(engine, request)
    assert plain.tolist() == make(DiffusionEngine(Registry({})), request).tolist() != first.tolist()


def test_the_global_random_state_is_unchanged(engine: DiffusionEngine, a_request: ARequest) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    make(engine, a_request(scheduler="k_euler_a"))
    assert torch.rand(4).equal(expected)


def test_an_aborted_picture_leaves_no_state(engine: DiffusionEngine, a_request: ARequest) -> None:
    request = a_request(scheduler="k_dpm_2_a", steps=8)
    whole = make(engine, request)
    for index in (0, 1, 4):
        running = engine.generate(request)
        for event in running:
            if isinstance(event, Step) and event.index == index:
                break
        running.close()  # type: ignore[attr-defined]
        assert make(engine, request).tolist() == whole.tolist()


def test_an_init_picture_is_encoded_once(a_request: ARequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, prepared = [], []
    encode, prepare = encode_pixels, prepare_init
    monkeypatch.setattr(stable_diffusion, "encode_pixels", lambda *a: encoded.append(1) or encode(*a))
    monkeypatch.setattr("invoke.engine.pipeline.picture.prepare_init", lambda *a: prepared.append(1) or prepare(*a))
    path = save(tmp_path / "a.png", scene())
    engine = DiffusionEngine(Registry({}))
    for seed in (1, 2, 3):
        make(engine, a_request(init_image=path, seed=seed))
    assert (len(encoded), len(prepared)) == (1, 1)
    before = make(engine, a_request(init_image=path))
    save(path, 255 - scene())
    os.utime(path, ns=(1, 1))
    assert make(engine, a_request(init_image=path)).tolist() != before.tolist()
    assert (len(encoded), len(prepared)) == (2, 2)


def test_facts_record_what_made_the_picture(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    path = with_alpha(tmp_path / "a.png", scene(), np.where(disc(), 0, 255))
    facts = finished(events(engine, a_request(init_image=path))).facts
    assert (facts.mode, facts.steps_taken, facts.device, facts.dtype) == ("inpaint", 3, "cpu", "float32")
    assert facts.painted == pytest.approx(disc().mean())
    assert set(facts.hashes) == {"init_image", "model"}
    assert all(len(digest) == 64 for digest in facts.hashes.values())
    assert facts.versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert facts.seconds > 0


def test_unsupported_sizes_are_refused(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="68×64: the sides of this model's pictures must be multiples of 8"):
        make(engine, a_request(width=68))
    folder = tiny.save_folder(tmp_path / "m", tiny.components(factor=16))
    with pytest.raises(RequestError, match="multiples of 16"):
        make(engine, a_request(model=folder, width=72))
    assert make(engine, a_request(model=folder, width=80)).shape == (64, 80, 3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_draws_nearly_the_same_picture(
    precision: Any, engine: DiffusionEngine, a_request: ARequest, tmp_path: Path
) -> None:
    path = with_alpha(tmp_path / "a.png", scene(), np.where(disc(), 0, 255))
    half = DiffusionEngine(Registry({}), EngineOptions(device="cpu", precision=precision))
    for request in (a_request(), a_request(init_image=path), a_request(scheduler="k_euler_a")):
        apart = make(half, request).astype(int) - make(engine, request)
        assert np.abs(apart).mean() < 6
    assert finished(events(half, a_request())).facts.dtype == precision


class Broken:
    """A part of the model that fails at some calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch

    def decode(self, *errors: Exception | None) -> None:
        failures, decode = list(errors), decode_latents

        def failing(vae: Any, latents: torch.Tensor) -> torch.Tensor:
            error = failures.pop(0) if failures else None
            if error:
                raise error
            return decode(vae, latents)

        self.patch.setattr(stable_diffusion, "decode_latents", failing)


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_is_retried_once_in_tiles(
    error: Exception, a_request: ARequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DiffusionEngine(Registry({}))
    expected = make(engine, a_request())
    Broken(monkeypatch).decode(error)
    happened = events(engine, a_request())
    assert notes(happened) == ["out of memory: trying again, decoding in tiles"]
    assert len([event for event in happened if isinstance(event, Started)]) == 1
    # tiles show at their seams, so the next picture is decoded whole again
    assert np.abs(pixels(happened).astype(int) - expected).mean() < 20
    assert make(engine, a_request()).tolist() == expected.tolist()


def test_out_of_memory_twice_fails_this_picture_alone(a_request: ARequest, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DiffusionEngine(Registry({}))
    Broken(monkeypatch).decode(*OUT_OF_MEMORY)
    with pytest.raises(EngineError, match="out of memory at 64×64 on cpu") as caught:
        events(engine, a_request())
    assert "-W and -H" in caught.value.hint
    assert make(engine, a_request()).shape == (64, 64, 3)


@pytest.mark.parametrize("part", ["denoiser", "decoder"])
def test_overflow_is_an_error_instead_of_a_black_picture(part: str, a_request: ARequest, tmp_path: Path) -> None:
    parts = tiny.components()
    broken = parts["unet"].conv_out if part == "denoiser" else parts["vae"].decoder.conv_out
    torch.nn.init.constant_(broken.weight, 1e38)
    torch.nn.init.constant_(broken.bias, 1e38)
    folder = tiny.save_folder(tmp_path / "m", parts)
    engine = DiffusionEngine(Registry({}))
    with pytest.raises(EngineError, match=f"overflow in the {part}") as caught:
        events(engine, a_request(model=folder))
    assert caught.value.hint == "lower -C", "it was computed in float32"
    assert make(engine, a_request()).any()


@pytest.mark.parametrize(
    ("part", "layer"), [("unet", "conv_in"), ("vae", "decoder.conv_in"), ("text_encoder", "final_layer_norm")]
)
def test_weights_that_are_not_numbers_are_no_overflow(
    part: str, layer: str, a_request: ARequest, tmp_path: Path
) -> None:
    parts = tiny.components()
    with torch.no_grad():
        getattr(parts[part], "text_model", parts[part]).get_submodule(layer).weight.fill_(torch.nan)
    engine = DiffusionEngine(Registry({}))
    title = {"unet": "UNet", "vae": "VAE", "text_encoder": "text encoder"}[part]
    with pytest.raises(ModelError, match=f"this model's {title} holds values that are not numbers .*{layer}.weight"):
        events(engine, a_request(model=tiny.save_folder(tmp_path / "m", parts)))
    assert make(engine, a_request()).any()


def test_a_half_precision_decoder_that_overflows_decodes_in_float32(a_request: ARequest, tmp_path: Path) -> None:
    parts = tiny.components()
    with torch.no_grad():
        parts["vae"].decoder.conv_in.weight.mul_(3e4)
        parts["vae"].decoder.mid_block.resnets[0].norm1.eps = 1.0
    folder = tiny.save_folder(tmp_path / "m", parts)
    engine = DiffusionEngine(Registry({}), EngineOptions(device="cpu", precision="float16"))
    first, second = (make(engine, a_request(model=folder)) for _ in range(2))
    assert first.any()
    assert first.tolist() == second.tolist()

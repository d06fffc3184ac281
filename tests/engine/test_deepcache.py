"""`--reuse N`: which calls compute the deep half of the UNet, and what that changes."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.sampling.deepcache import CachedUNet, CachingUNet
from invoke.engine.sampling.model_call import run_eager
from invoke.events import Pixels
from tests import tiny
from tests.engine.making import image_of
from tests.making import ARequest


@pytest.fixture
def deep(engine: DiffusionEngine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The rows that each computation of the UNet's deepest block had; recorded calls have no blocks."""
    monkeypatch.setattr(engine, "_executor", run_eager)
    unet: Any = engine._pool.model(str(folder)).unet
    rows: list[int] = []
    seen = unet.mid_block.resnets[0].register_forward_hook(lambda block, given, out: rows.append(len(out)))
    yield rows
    seen.remove()


@pytest.mark.parametrize(("every", "computed"), [(1, 7), (2, 4), (3, 3), (7, 1), (20, 1)])
def test_every_nth_call_computes_the_deep_half(
    engine: DiffusionEngine, a_request: ARequest, deep: list[int], every: int, computed: int
) -> None:
    image_of(engine, a_request(steps=7, reuse=every))
    assert len(deep) == computed


def test_reuse_leaves_no_state_for_the_next_picture(engine: DiffusionEngine, a_request: ARequest) -> None:
    plain = image_of(engine, a_request(steps=6))
    reused = image_of(engine, a_request(steps=6, reuse=3))
    assert reused != plain
    assert image_of(engine, a_request(steps=6)) == plain
    assert image_of(engine, a_request(steps=6, reuse=3)) == reused


def test_the_deep_half_is_computed_again_when_guidance_starts_or_stops(
    engine: DiffusionEngine, a_request: ARequest, deep: list[int]
) -> None:
    image_of(engine, a_request(steps=10, reuse=20, guidance_interval=(0.25, 0.75)))
    assert deep == [1, 2, 1]


def test_computing_the_deep_half_more_often_gives_a_closer_picture(
    engine: DiffusionEngine, a_request: ARequest
) -> None:
    exact, often, seldom = (image_of(engine, a_request(steps=20, reuse=every)) for every in (1, 2, 10))

    def distance(image: Pixels) -> int:
        return sum(abs(one - other) for one, other in zip(exact.data, image.data, strict=True))

    assert 0 < distance(often) < distance(seldom)


@pytest.mark.parametrize("every", [2, 3, 4])
def test_the_count_begins_again_where_guidance_starts_or_stops(
    engine: DiffusionEngine, a_request: ARequest, deep: list[int], every: int
) -> None:
    request = a_request(steps=14, reuse=1, guidance_interval=(0.4, 0.75))
    image_of(engine, request)
    assert len(deep) == 14
    expected = [row for _, rows in groupby(deep) for row in [*rows][::every]]
    deep.clear()
    image_of(engine, replace(request, reuse=every))
    assert deep == expected


@torch.inference_mode()
def test_the_outermost_blocks_alone_give_the_same_answer_from_the_deep_half_of_the_same_call() -> None:
    """A UNet of three levels: of its up blocks, all but the last are skipped."""
    torch.manual_seed(0)
    unet = tiny.unet(
        block_out_channels=(16, 32, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    ).eval()
    call: Any = (torch.randn(1, 4, 8, 8), torch.tensor(500))
    options: Any = {"encoder_hidden_states": torch.randn(1, 5, 32), "return_dict": False}
    full, deep = CachingUNet(unet)(*call, **options)
    used: list[int] = []
    for index, block in enumerate(unet.up_blocks):
        block.resnets[0].register_forward_hook(lambda *_, index=index: used.append(index))
    assert torch.equal(CachedUNet(unet)(*call, deep=deep, **options)[0], full)
    assert used == [2]

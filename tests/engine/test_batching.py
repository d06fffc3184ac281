"""Pictures drawn at once (`--batch_size`): their neighbours change no bit."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invoke.engine.components.packing import can_pack
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.sampling.batching import run_batched
from invoke.engine.sampling.model_call import Generation, ModelCall, Outputs, run_eager
from invoke.errors import EngineError, InvokeError
from invoke.events import NO_PREVIEWS, Finished, Pixels, Started, Step
from invoke.models import Registry
from invoke.options import EngineOptions
from invoke.request import Request
from invoke.samplers import SAMPLERS
from tests.making import ARequest

SIZE = 3


def _made(engine: DiffusionEngine, *requests: Request) -> list[Pixels | InvokeError]:
    """The result of each, in order."""
    made: dict[int, Pixels | InvokeError] = {}
    for index, event in engine.generate_batch([(request, NO_PREVIEWS) for request in requests]):
        if isinstance(event, Finished):
            made[index] = event.image
        elif isinstance(event, InvokeError):
            made[index] = event
    return [made[index] for index in range(len(requests))]


@pytest.fixture
def asked(engine: DiffusionEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows in each call of a denoiser."""
    rows: list[int] = []

    def compute(call: ModelCall) -> Outputs:
        rows.append(len(call.sample))
        return run_eager(call)

    monkeypatch.setattr(engine, "_executor", compute)
    return rows


_CHANGES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 99),
        "variations": st.sampled_from([(), ((5, 0.3),), ((5, 0.5), (6, 0.4))]),
        "scheduler": st.sampled_from(sorted(SAMPLERS)),
        "steps": st.integers(2, 5),
        "strength": st.sampled_from([0.4, 0.75, 1.0]),
        "guidance_scale": st.sampled_from([2.0, 7.5]),
        "prompt": st.sampled_from(["a fire", "a cat++", "a house [night]", "a cat.swap(fire)"]),
        "threshold": st.sampled_from([0.0, 1.5]),
        "reuse": st.sampled_from([1, 1, 2]),
        "controls": st.sampled_from(["", "", "one", "two"]),
        "pag_scale": st.sampled_from([0.0, 0.0, 3.0]),
    }
)


@settings(max_examples=15)
@given(changes=st.lists(_CHANGES, min_size=2, max_size=5))
def test_a_picture_does_not_depend_on_its_batch(  # noqa: PLR0917 - fixtures
    engine: DiffusionEngine,
    a_request: ARequest,
    init: Path,
    nets: list[str],
    shown: Path,
    other: Path,
    changes: list[dict[str, object]],
) -> None:
    controls = {
        "": (),
        "one": ((nets[0], str(shown), 0.8),),
        "two": ((nets[0], str(other), 0.8), (nets[1], str(shown), 0.3)),
    }
    requests = [
        a_request(init_image=init, batch_size=SIZE, **change | {"controls": controls[str(change["controls"])]})
        for change in changes
    ]
    assert _made(engine, *requests) == [_made(engine, request)[0] for request in requests]


def test_the_denoiser_is_called_once_for_the_whole_batch(
    engine: DiffusionEngine, a_request: ARequest, asked: list[int]
) -> None:
    requests = [a_request(seed=seed, steps=4, batch_size=SIZE) for seed in range(2 * SIZE)]
    _made(engine, *requests)
    assert asked == [2 * SIZE] * 4 * 2, "two rows a picture, four steps, two groups"


def test_controlnets_are_called_once_for_the_whole_batch(  # noqa: PLR0917 - fixtures
    engine: DiffusionEngine, a_request: ARequest, asked: list[int], net: str, shown: Path, other: Path
) -> None:
    pictures = (shown, other, shown)
    _made(engine, *(a_request(steps=4, batch_size=SIZE, controls=((net, str(each), 0.8),)) for each in pictures))
    assert asked == [2 * SIZE] * 4 * 2, "the ControlNet and the UNet at each of four steps"


def test_with_reuse_each_half_is_called_once_for_the_whole_batch(
    engine: DiffusionEngine, a_request: ARequest, asked: list[int]
) -> None:
    _made(engine, *(a_request(seed=seed, steps=4, reuse=2, batch_size=SIZE) for seed in range(SIZE)))
    assert asked == [2 * SIZE] * 4


@pytest.mark.parametrize("steps", [(4, 2, 2), (2, 2, 4)])
def test_the_next_picture_joins_the_batch_when_a_short_one_ends(
    engine: DiffusionEngine, a_request: ARequest, asked: list[int], steps: tuple[int, ...]
) -> None:
    """4, 2 and 2 steps, in any order, two at a time: four rounds, none of them padded."""
    requests = [a_request(seed=seed, steps=count, batch_size=2) for seed, count in enumerate(steps)]
    made = _made(engine, *requests)
    assert asked == [4] * 4
    assert made == [_made(engine, request)[0] for request in requests]


@pytest.mark.skipif(not can_pack(), reason="this processor has no instructions for bfloat16")
def test_large_networks_on_a_cpu_are_called_per_picture(a_request: ARequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batching saves no time there, and padding would be wasted."""
    engine = DiffusionEngine(Registry({}), EngineOptions(device="cpu", precision="bfloat16"))
    rows: list[int] = []
    monkeypatch.setattr(engine, "_executor", lambda call: rows.append(len(call.sample)) or run_eager(call))
    _made(engine, *(a_request(seed=seed, steps=2, batch_size=SIZE) for seed in range(2)))
    assert rows == [2] * 4


def test_an_incomplete_batch_is_padded(engine: DiffusionEngine, a_request: ARequest, asked: list[int]) -> None:
    _made(engine, a_request(steps=2, guidance_scale=1.0, batch_size=SIZE))
    assert asked == [SIZE, SIZE]


def test_pictures_of_another_size_are_drawn_in_the_next_batch(engine: DiffusionEngine, a_request: ARequest) -> None:
    jobs = [(a_request(seed=seed, width=64 + 8 * (seed % 2), batch_size=SIZE), NO_PREVIEWS) for seed in range(4)]
    events = [(index, event) for index, event in engine.generate_batch(jobs)]
    assert [index for index, event in events if isinstance(event, Finished)] == [0, 2, 1, 3]


def test_pictures_of_a_batch_take_their_steps_in_parallel(engine: DiffusionEngine, a_request: ARequest) -> None:
    jobs = [(a_request(seed=seed, steps=2, batch_size=2), NO_PREVIEWS) for seed in range(2)]
    output = [(i, type(event)) for i, event in engine.generate_batch(jobs) if isinstance(event, Started | Step)]
    assert output[-4:] == [(0, Step), (1, Step), (0, Step), (1, Step)]


def test_a_failing_picture_does_not_stop_its_batch(engine: DiffusionEngine, a_request: ARequest) -> None:
    good = a_request(batch_size=SIZE)
    broken = a_request(batch_size=SIZE, init_image="nowhere.png")
    first, failed, last = _made(engine, good, broken, a_request(seed=9, batch_size=SIZE))
    assert isinstance(failed, InvokeError)
    assert first == _made(engine, good)[0]
    assert isinstance(last, Pixels)


def test_seamless_pictures_and_chains_are_drawn_alone(engine: DiffusionEngine, a_request: ARequest) -> None:
    seamless = a_request(seamless=True, batch_size=SIZE)
    chained = a_request(init_image=a_request(seed=3), batch_size=SIZE)
    together = _made(engine, a_request(seed=1, batch_size=SIZE), seamless, chained)
    assert together[1:] == [_made(engine, seamless)[0], _made(engine, chained)[0]]
    assert together[0] == _made(engine, a_request(seed=1, batch_size=SIZE))[0], "nothing is left of the seams"


def test_a_batched_picture_is_close_to_the_single_one(engine: DiffusionEngine, a_request: ARequest) -> None:
    alone, run_batched = (_made(engine, a_request(batch_size=size))[0] for size in (1, SIZE))
    assert isinstance(alone, Pixels)
    assert isinstance(run_batched, Pixels)
    difference = max(abs(one - other) for one, other in zip(alone.data, run_batched.data, strict=True))
    assert difference <= 1


def test_cfg_interval_limits_guidance_to_some_steps(
    engine: DiffusionEngine, a_request: ARequest, asked: list[int]
) -> None:
    _made(engine, a_request(steps=10, guidance_interval=(0.25, 0.75)))
    assert asked == [1] * 2 + [2] * 5 + [1] * 3
    whole = _made(engine, a_request(steps=10, guidance_interval=(0.0, 1.0)))
    assert whole == _made(engine, a_request(steps=10))


@pytest.mark.parametrize(("size", "notes"), [(1, []), (2, ["in the call of the pictures [0, 1] of the batch"])])
def test_an_error_in_the_call_of_a_batch_names_its_pictures(size: int, notes: list[str]) -> None:
    def drawing(network: torch.nn.Module) -> Generation[None]:
        yield (call := ModelCall(network, torch.zeros(1, 1, 2, 2), torch.tensor(1.0)))
        call.result()

    def compute(call: ModelCall) -> Outputs:
        raise EngineError("no")

    network = torch.nn.Identity()
    happened = [*run_batched([drawing(network), drawing(network)], size, compute)]
    assert [(index, str(error)) for index, error in happened] == [(0, "no"), (1, "no")]
    assert [getattr(error, "__notes__", []) for _, error in happened] == [notes, notes]

"""CUDA graphs: inputs of a recorded denoiser, and when it may not be used; on the CPU, recording calls it again."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from invoke.engine.components.tensor_tree import mapped, tensors
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.sampling import latent_effects
from invoke.engine.sampling.cuda_graphs import Graphs, Replay, is_as_loaded
from invoke.engine.sampling.model_call import Executor, ModelCall, Outputs, run_eager
from tests.engine.making import image_of
from tests.making import ARequest


def _again(call: ModelCall) -> Replay:
    """Records like CUDA does: what is computed depends on what the recorded tensors hold by then."""
    return lambda: run_eager(call)


@pytest.fixture
def computing(engine: DiffusionEngine) -> Iterator[Callable[[Executor], None]]:
    before = engine._executor
    yield lambda compute: setattr(engine, "_executor", compute)
    engine._executor = before


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance_scale": 1.0},
        {"width": 72},
        {"batch_size": 2},
        {"guidance_interval": (0.2, 0.6)},
        {"scheduler": "ddim"},
        {"seamless": True},
        {"prompt": 'a cat.swap("fire")'},
        {"reuse": 2},
        {"reuse": 3, "batch_size": 2, "guidance_interval": (0.2, 0.8)},
        {"control": True},
        {"control": True, "batch_size": 2, "prompt": 'a cat.swap("fire")'},
    ],
    ids=str,
)
def test_recorded_pictures_are_the_same(  # noqa: PLR0917 - fixtures
    engine: DiffusionEngine,
    a_request: ARequest,
    computing: Callable[[Executor], None],
    net: str,
    shown: Path,
    changes: dict[str, object],
) -> None:
    controls = ((net, str(shown), 0.7),) if changes.get("control") else ()
    request = a_request(steps=5, controls=controls, **{k: v for k, v in changes.items() if k != "control"})
    plain = image_of(engine, request)
    computing(Graphs(_again))
    assert image_of(engine, a_request(seed=99, steps=5)) != plain
    assert [image_of(engine, request), image_of(engine, request)] == [plain, plain]


def test_a_result_is_unchanged_by_the_next_replay(engine: DiffusionEngine, a_request: ARequest, folder: Path) -> None:
    """On a GPU, each replay writes into the same memory: earlier results must not change."""
    image_of(engine, a_request())
    unet = engine._pool.model(str(folder)).unet

    def capture(call: ModelCall) -> Replay:
        output = mapped(run_eager(call), torch.clone)

        def replay() -> Outputs:
            for mine, new in zip(tensors(output), tensors(run_eager(call)), strict=True):
                mine.copy_(new)
            return output

        return replay

    graphs = Graphs(capture)
    calls = [
        ModelCall(
            unet,
            torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)),
            torch.tensor(500 + seed),
            encoder_hidden_states=torch.full((1, 77, 32), 0.1 * seed),
        )
        for seed in range(5)
    ]
    with torch.no_grad():
        answers = [graphs(call) for call in calls]
        for call, answer in zip(calls, answers, strict=True):
            expected = [*tensors(run_eager(call))]
            assert [mine.equal(its) for mine, its in zip(tensors(answer), expected, strict=True)] == [True] * len(
                expected
            )


def test_each_shape_is_recorded_once(
    engine: DiffusionEngine, a_request: ARequest, computing: Callable[[Executor], None]
) -> None:
    recorded: list[torch.Size] = []

    def capture(call: ModelCall) -> Replay:
        recorded.append(call.sample.shape)
        return _again(call)

    computing(Graphs(capture))
    for width in (64, 72, 64, 72):
        image_of(engine, a_request(width=width))
    assert len(recorded) == 2


def test_a_single_call_is_not_recorded(
    engine: DiffusionEngine, a_request: ARequest, computing: Callable[[Executor], None]
) -> None:
    def capture(call: ModelCall) -> Replay:
        raise AssertionError("nothing is recorded")

    computing(Graphs(capture))
    plain = image_of(engine, a_request(steps=1))
    computing(run_eager)
    assert image_of(engine, a_request(steps=1)) == plain
    computing(Graphs(capture))
    with pytest.raises(AssertionError, match="nothing is recorded"):
        image_of(engine, a_request(steps=2))


def _refused(call: ModelCall) -> Replay:
    raise RuntimeError("operation not permitted when stream is capturing")


def _wrong(call: ModelCall) -> Replay:
    return lambda: mapped(run_eager(call), lambda tensor: tensor + 1)


@pytest.mark.parametrize("capture", [_refused, _wrong])
def test_calls_that_cannot_be_recorded_are_computed(
    engine: DiffusionEngine,
    a_request: ARequest,
    computing: Callable[[Executor], None],
    capture: Callable[[ModelCall], Replay],
) -> None:
    plain = image_of(engine, a_request())
    computing(Graphs(capture))
    assert image_of(engine, a_request()) == plain


def test_a_changed_network_is_not_replayed(engine: DiffusionEngine, a_request: ARequest, folder: Path) -> None:
    image_of(engine, a_request())
    unet = engine._pool.model(str(folder)).unet
    assert is_as_loaded(unet)
    with latent_effects.seamless((unet,), ("x",)):
        assert not is_as_loaded(unet)
    assert is_as_loaded(unet)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")
def test_on_cuda_the_bits_are_the_same(a_request: ARequest) -> None:
    from invoke.models import Registry
    from invoke.options import EngineOptions

    request = a_request(steps=6)
    made = [
        image_of(DiffusionEngine(Registry({}), EngineOptions(device="cuda", graphs=graphs)), request)
        for graphs in (True, False)
    ]
    assert made[0] == made[1]

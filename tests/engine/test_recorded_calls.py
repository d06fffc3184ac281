"""Recorded calls draw the same bits, and what cannot be recorded is not; CUDA's recordings are imitated on the CPU."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from invoke.engine.components.tensor_tree import mapped, tensors
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.sampling import latent_effects
from invoke.engine.sampling.cuda_graphs import FixedReplay, with_fixed_inputs
from invoke.engine.sampling.flat_calls import CannotRecordError, flattened
from invoke.engine.sampling.model_call import Executor, ModelCall, Outputs, run_eager
from invoke.engine.sampling.recorded_calls import Capture, RecordedCalls, Replay, is_as_loaded
from tests.engine.making import image_of
from tests.making import ARequest


def _again(call: ModelCall) -> FixedReplay:
    """Records like CUDA does: what is computed depends on what the recorded tensors hold by then."""
    return lambda: run_eager(call)


@pytest.fixture
def computing(engine: DiffusionEngine) -> Iterator[Callable[[Executor], None]]:
    before = engine._executor
    yield lambda compute: setattr(engine, "_executor", compute)
    engine._executor = before


@pytest.mark.parametrize("capture", [with_fixed_inputs(_again), flattened], ids=["graph", "flat"])
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
    capture: Capture,
) -> None:
    controls = ((net, str(shown), 0.7),) if changes.get("control") else ()
    request = a_request(steps=5, controls=controls, **{k: v for k, v in changes.items() if k != "control"})
    computing(run_eager)
    plain = image_of(engine, request)
    recorded = RecordedCalls(capture)
    computing(recorded)
    assert image_of(engine, a_request(seed=99, steps=5)) != plain
    assert [image_of(engine, request), image_of(engine, request)] == [plain, plain]
    shapes = [shape for network in recorded._shapes.values() for shape in network._values.values()]
    assert all(shape._replay is not None for shape in shapes if shape._seen > 1)


def test_a_result_is_unchanged_by_the_next_replay(engine: DiffusionEngine, a_request: ARequest, folder: Path) -> None:
    """On a GPU, each replay writes into the same memory: earlier results must not change."""
    image_of(engine, a_request())
    unet = engine._pool.model(str(folder)).unet

    def capture(call: ModelCall) -> FixedReplay:
        output = mapped(run_eager(call), torch.clone)

        def replay() -> Outputs:
            for mine, new in zip(tensors(output), tensors(run_eager(call)), strict=True):
                mine.copy_(new)
            return output

        return replay

    graphs = RecordedCalls(with_fixed_inputs(capture))
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

    def capture(call: ModelCall) -> FixedReplay:
        recorded.append(call.sample.shape)
        return _again(call)

    computing(RecordedCalls(with_fixed_inputs(capture)))
    for width in (64, 72, 64, 72):
        image_of(engine, a_request(width=width))
    assert len(recorded) == 2


def test_a_single_call_is_not_recorded(
    engine: DiffusionEngine, a_request: ARequest, computing: Callable[[Executor], None]
) -> None:
    def capture(call: ModelCall) -> FixedReplay:
        raise AssertionError("nothing is recorded")

    computing(RecordedCalls(with_fixed_inputs(capture)))
    plain = image_of(engine, a_request(steps=1))
    computing(run_eager)
    assert image_of(engine, a_request(steps=1)) == plain
    computing(RecordedCalls(with_fixed_inputs(capture)))
    with pytest.raises(AssertionError, match="nothing is recorded"):
        image_of(engine, a_request(steps=2))


def _refused(call: ModelCall) -> FixedReplay:
    raise RuntimeError("operation not permitted when stream is capturing")


def _wrong(call: ModelCall) -> FixedReplay:
    return lambda: mapped(run_eager(call), lambda tensor: tensor + 1)


@pytest.mark.parametrize("capture", [_refused, _wrong])
def test_calls_that_cannot_be_recorded_are_computed(
    engine: DiffusionEngine,
    a_request: ARequest,
    computing: Callable[[Executor], None],
    capture: Callable[[ModelCall], FixedReplay],
) -> None:
    plain = image_of(engine, a_request())
    computing(RecordedCalls(with_fixed_inputs(capture)))
    assert image_of(engine, a_request()) == plain


def test_a_changed_network_is_not_replayed(engine: DiffusionEngine, a_request: ARequest, folder: Path) -> None:
    image_of(engine, a_request())
    unet = engine._pool.model(str(folder)).unet
    assert is_as_loaded(unet)
    with latent_effects.seamless((unet,), ("x",)):
        assert not is_as_loaded(unet)
    assert is_as_loaded(unet)


class _Small(torch.nn.Module):
    """A network with what a UNet has: text, a timestep, and a factor of 1.0."""

    def __init__(self) -> None:
        super().__init__()
        self.keys, self.inner = torch.nn.Linear(4, 3), torch.nn.Linear(3, 3)
        self.register_buffer("shift", torch.ones(3))

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, *, encoder_hidden_states: torch.Tensor, return_dict: bool
    ) -> Outputs:
        assert not return_dict
        waves = (timestep.float() * torch.arange(3)).sin() + self.shift
        hidden = self.inner(sample.chunk(2)[0] / 1.0) * waves
        return (hidden @ self.keys(encoder_hidden_states).mT, [hidden])


def _call(network: torch.nn.Module, seed: int, text: torch.Tensor | None = None) -> ModelCall:
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(5, 4, generator=generator) if text is None else text
    sample = torch.randn(2, 3, generator=generator)
    return ModelCall(network, sample, torch.tensor(seed), encoder_hidden_states=text)


def _is_same(replay: Replay, call: ModelCall) -> bool:
    pairs = zip(tensors(replay(call)), tensors(run_eager(call)), strict=True)
    return all(torch.equal(mine, its) for mine, its in pairs)


def test_a_flat_call_follows_its_inputs_and_weights() -> None:
    with torch.inference_mode():
        network = _Small().requires_grad_(False)
        replay = flattened(_call(network, 1))
        assert _is_same(replay, _call(network, 2))
        network.inner.weight.mul_(2)  # in place, as LoRAs are merged
        network.keys.weight = torch.nn.Parameter(torch.ones(3, 4), requires_grad=False)  # replaced, as packing does
        assert _is_same(replay, _call(network, 3))


def test_the_text_is_computed_once_and_not_kept() -> None:
    with torch.inference_mode():
        network = _Small()
        replay = flattened(_call(network, 1))
        network.keys.weight.zero_()
        text = torch.ones(5, 4)
        before = replay(_call(network, 2, text))[0]
        network.keys.weight.fill_(1)  # never within a picture
        assert torch.equal(replay(_call(network, 2, text))[0], before)
        assert not torch.equal(replay(_call(network, 2, text.clone()))[0], before)
        gone = weakref.ref(text)
        del text
        assert gone() is None
        kept = weakref.ref(network)
        del network
        gc.collect()
        assert kept() is None


_REFUSED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "numbers": lambda x: x if float(x.sum()) > 0 else -x,
    "a condition": lambda x: x if x.sum() > 0 else -x,
    "in place": lambda x: x.clone().add_(1),
    "an item": lambda x: _with_item(x.clone()),
    "an operator in place": lambda x: _increased(x.clone()),
    "an activation in place": lambda x: torch.nn.functional.silu(x.clone(), inplace=True),
    "random": lambda x: x + torch.randn_like(x),
    "random numbers alone": lambda x: x + torch.rand(3),
    "dropout": lambda x: torch.nn.functional.dropout(x, 0.5, training=True),
    "a constant": lambda x: torch.ones(3),
}


def _with_item(x: torch.Tensor) -> torch.Tensor:
    x[0] = 0
    return x


def _increased(x: torch.Tensor) -> torch.Tensor:
    x += 1
    return x


@pytest.mark.parametrize("forward", _REFUSED.values(), ids=_REFUSED)
def test_what_depends_on_more_than_shapes_is_not_flattened(forward: Callable[[torch.Tensor], torch.Tensor]) -> None:
    class Network(torch.nn.Module):
        def forward(self, sample: torch.Tensor, timestep: torch.Tensor, **_: object) -> Outputs:
            return (forward(sample),)

    with torch.inference_mode(), pytest.raises(CannotRecordError):
        flattened(_call(Network(), 1))


def test_large_calls_are_not_flattened() -> None:
    call = _call(_Small(), 1)
    call.sample = torch.zeros(2, 4, 64, 64)
    with pytest.raises(CannotRecordError, match="longer than Python"):
        flattened(call)


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

"""ModelCall: one call of a network, yielded by a picture's generator and resolved by its driver.

The generator of one picture knows nothing of others, so the driver can put the calls of several into one batch.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Protocol, TypeVar

import torch

from invoke.events import EngineEvent

Network = Callable[..., tuple[Any, ...]]
"""A network of the denoiser: `forward(sample, timestep, return_dict=False, **options)`."""
Outputs = tuple[Any, ...]
"""Tensors with a row for each text, some of them in lists."""
T = TypeVar("T")


class ModelCall:
    """A network's inputs, a row for each text; once it is resolved, its outputs."""

    owner: int | None = None
    """The index of the picture among those that are drawn together."""

    def __init__(self, network: Network, sample: torch.Tensor, timestep: torch.Tensor, **options: Any) -> None:
        """`sample` is rows × channels × height × width, `timestep` one number. Tensors in `options`, however deep in
        mappings and sequences, have as many rows, or one for all."""
        self.network, self.sample, self.timestep, self.options = network, sample, timestep, options
        self._result: Outputs | Exception | None = None

    def result(self) -> Outputs:
        """Raises the exception that the call was resolved with."""
        assert self._result is not None
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def set_result(self, result: Outputs | Exception) -> None:
        self._result = result


class Denoiser(Protocol):
    """Calls one network or several with latents."""

    def __call__(
        self, sample: torch.Tensor, timestep: torch.Tensor, **options: Any
    ) -> Generator[ModelCall, None, torch.Tensor]:
        """Return the prediction: as many rows × channels × height × width."""
        ...


def call_model(
    network: Network, sample: torch.Tensor, timestep: torch.Tensor, **options: Any
) -> Generator[ModelCall, None, Outputs]:
    """The outputs of one call."""
    call = ModelCall(network, sample, timestep, **options)
    yield call
    return call.result()


def as_denoiser(network: Network) -> Denoiser:
    """The denoiser that is one network."""

    def denoiser(
        sample: torch.Tensor, timestep: torch.Tensor, **options: Any
    ) -> Generator[ModelCall, None, torch.Tensor]:
        return (yield from call_model(network, sample, timestep, **options))[0]  # type: ignore[no-any-return]

    return denoiser


PipelineEvent = EngineEvent | ModelCall
"""What the making of a picture yields."""
Generation = Generator[PipelineEvent, None, T]
"""Yields progress and returns its product."""
Executor = Callable[[ModelCall], Outputs]
"""How a call reaches its network."""


def run_eager(call: ModelCall) -> Outputs:
    """The network's own outputs."""
    return call.network(call.sample, call.timestep, return_dict=False, **call.options)


def change_events(generation: Generation[T], change: Callable[[EngineEvent], EngineEvent | None]) -> Generation[T]:
    """`generation` with its events changed, or left out where `change` gives None; calls pass."""
    with closing(generation):
        while True:
            try:
                event = next(generation)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            changed = event if isinstance(event, ModelCall) else change(event)
            if changed is not None:
                yield changed

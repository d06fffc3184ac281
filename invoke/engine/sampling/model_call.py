"""ModelCall: a network call, yielded by a picture's generator and resolved by its driver.

The generator of one picture does not know about others, so the driver can batch the calls of several pictures.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Protocol, TypeVar

import torch

from invoke.events import EngineEvent

Network = Callable[..., tuple[Any, ...]]
"""A network of the denoiser: `forward(sample, timestep, return_dict=False, **options)`."""
Outputs = tuple[Any, ...]
"""Tensors, possibly in lists, with one row per text."""
T = TypeVar("T")


class ModelCall:
    """The inputs of a network, one row per text, and its outputs once resolved."""

    owner: int | None = None
    """The index of the picture in its batch."""

    def __init__(self, network: Network, sample: torch.Tensor, timestep: torch.Tensor, **options: Any) -> None:
        """`sample` is rows × channels × height × width, `timestep` a single number. Tensors in `options`, possibly in
        nested mappings and sequences, have the same number of rows, or one for all."""
        self.network, self.sample, self.timestep, self.options = network, sample, timestep, options
        self._result: Outputs | Exception | None = None

    def result(self) -> Outputs:
        """The outputs; raises the exception if the call was resolved with one."""
        assert self._result is not None
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def set_result(self, result: Outputs | Exception) -> None:
        self._result = result


class Denoiser(Protocol):
    """Calls one or more networks with latents."""

    def __call__(
        self, sample: torch.Tensor, timestep: torch.Tensor, **options: Any
    ) -> Generator[ModelCall, None, torch.Tensor]:
        """Return the prediction: rows × channels × height × width, with the rows of `sample`."""
        ...


def call_model(
    network: Network, sample: torch.Tensor, timestep: torch.Tensor, **options: Any
) -> Generator[ModelCall, None, Outputs]:
    """Call a network once and return its outputs."""
    call = ModelCall(network, sample, timestep, **options)
    yield call
    return call.result()


def as_denoiser(network: Network) -> Denoiser:
    """Wrap a single network as a denoiser."""

    def denoiser(
        sample: torch.Tensor, timestep: torch.Tensor, **options: Any
    ) -> Generator[ModelCall, None, torch.Tensor]:
        return (yield from call_model(network, sample, timestep, **options))[0]  # type: ignore[no-any-return]

    return denoiser


PipelineEvent = EngineEvent | ModelCall
"""What a picture's generator yields."""
Generation = Generator[PipelineEvent, None, T]
"""Yields progress and returns its product."""
Executor = Callable[[ModelCall], Outputs]
"""Executes a call on its network."""


def run_eager(call: ModelCall) -> Outputs:
    """Call the network directly."""
    return call.network(call.sample, call.timestep, return_dict=False, **call.options)


def change_events(generation: Generation[T], change: Callable[[EngineEvent], EngineEvent | None]) -> Generation[T]:
    """Map the events of `generation` with `change`, which drops an event by returning None; ModelCalls pass through."""
    with closing(generation):
        while True:
            try:
                event = next(generation)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            changed = event if isinstance(event, ModelCall) else change(event)
            if changed is not None:
                yield changed

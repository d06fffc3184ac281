"""Call: one question to a network. It is yielded upwards, and whoever drives the drawing answers it.

So one picture's drawing knows nothing of others, and several can be asked about together.
"""

from collections.abc import Callable, Generator
from typing import Any, Protocol

import torch

from invoke.events import EngineEvent

Network = Callable[..., tuple[Any, ...]]
"""A network of the denoiser: `forward(sample, timestep, return_dict=False, **options)`."""
Outputs = tuple[Any, ...]
"""Tensors with a row for each text, some of them in lists."""


class ModelCall:
    """What a network is given, a row for each text; once it is answered, what it says."""

    def __init__(self, ask: Network, sample: torch.Tensor, timestep: torch.Tensor, **options: Any) -> None:
        """`sample` is rows × channels × height × width, `timestep` one number. Tensors in `options`, however deep in
        mappings and sequences, have as many rows, or one for all."""
        self.ask, self.sample, self.timestep, self.options = ask, sample, timestep, options
        self._answer: Outputs | Exception | None = None

    @property
    def answer(self) -> Outputs:
        """Raises what asking raised."""
        assert self._answer is not None
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def set_result(self, answer: Outputs | Exception) -> None:
        self._answer = answer


class Denoiser(Protocol):
    """Asks one network or several about latents."""

    def __call__(
        self, sample: torch.Tensor, timestep: torch.Tensor, **options: Any
    ) -> Generator[ModelCall, None, torch.Tensor]:
        """What they say in the end: as many rows × channels × height × width."""
        ...


def call_model(
    ask: Network, sample: torch.Tensor, timestep: torch.Tensor, **options: Any
) -> Generator[ModelCall, None, Outputs]:
    """The answer to one question."""
    call = ModelCall(ask, sample, timestep, **options)
    yield call
    return call.answer


def as_denoiser(ask: Network) -> Denoiser:
    """The denoiser that is one network."""

    def asking(
        sample: torch.Tensor, timestep: torch.Tensor, **options: Any
    ) -> Generator[ModelCall, None, torch.Tensor]:
        return (yield from call_model(ask, sample, timestep, **options))[0]  # type: ignore[no-any-return]

    return asking


PipelineEvent = EngineEvent | ModelCall
"""What the drawing of a picture yields."""
Generation = Generator[PipelineEvent, None, "torch.Tensor | None"]
"""Returns the latents, where they decode to exactly the picture that was made."""
Executor = Callable[[ModelCall], Outputs]
"""How a question is put to its network."""


def run_eager(call: ModelCall) -> Outputs:
    """The answer of the network itself."""
    return call.ask(call.sample, call.timestep, return_dict=False, **call.options)

"""Call: one question to a denoiser. It is yielded upwards, and whoever drives the drawing answers it.

So one picture's drawing knows nothing of others, and several can be asked about together.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import torch

from invoke.engine.devices import is_out_of_memory
from invoke.errors import EngineError, InvokeError
from invoke.events import EngineEvent

Ask = Callable[..., tuple[torch.Tensor, ...]]
"""A denoiser: `forward(sample, timestep, return_dict=False, **options)`."""


class Call:
    """What a denoiser is given, a row for each text; once it is answered, what it says."""

    def __init__(self, ask: Ask, sample: torch.Tensor, timestep: torch.Tensor, **options: Any) -> None:
        """`sample` is rows × channels × height × width, `timestep` one number; what is not None in `options` are
        tensors with as many rows, or one for all, or mappings of such."""
        self.ask, self.sample, self.timestep, self.options = ask, sample, timestep, options
        self._answer: torch.Tensor | Exception | None = None

    @property
    def answer(self) -> torch.Tensor:
        """Raises what asking raised."""
        assert self._answer is not None
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def be_answered(self, answer: torch.Tensor | Exception) -> None:
        self._answer = answer


Happening = EngineEvent | Call
"""What the drawing of a picture yields."""
Drawing = Generator[Happening, None, "torch.Tensor | None"]
"""Returns the latents, where they decode to exactly the picture that was made."""
Compute = Callable[[Call], torch.Tensor]
"""How a question is put to its denoiser."""


def together(
    drawings: Sequence[Generator[Happening, None, Any]], size: int, compute: Compute
) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
    """The events of all `drawings`, each with its index, or what it failed with; they take their steps side by side.

    A denoiser is always asked `size` questions of one shape at once, some of them for nothing where there are fewer:
    a picture's last bits depend on that number, but neither on its neighbours nor on its place among them.
    """
    going = dict(enumerate(drawings))
    with ExitStack() as stack:
        for drawing in drawings:
            stack.enter_context(closing(drawing))
        while going:
            calls: list[Call] = []
            for index in list(going):
                call = None
                try:
                    for happening in going[index]:
                        if isinstance(happening, Call):
                            call = happening
                            break
                        yield index, happening
                except InvokeError as error:
                    yield index, error
                if call is None:
                    del going[index]
                else:
                    calls.append(call)
            for alike in _sorted(calls, size):
                _answer(alike, lambda calls: _computed(calls, size, compute))


def eager(call: Call) -> torch.Tensor:
    """The answer of the denoiser itself."""
    return call.ask(call.sample, call.timestep, return_dict=False, **call.options)[0]


def _sorted(calls: Iterable[Call], size: int) -> Iterator[list[Call]]:
    """`calls` in groups of at most `size` that can be put as one."""
    if size == 1:
        yield from ([call] for call in calls)
        return
    groups: dict[Hashable, list[Call]] = defaultdict(list)
    for call in calls:
        # one that does more than ask a network (controls, swaps) is asked alone
        together = isinstance(call.ask, torch.nn.Module)
        groups[(id(call.ask), shape((call.sample, call.options))) if together else id(call)].append(call)
    for group in groups.values():
        yield from (group[start : start + size] for start in range(0, len(group), size))


@torch.inference_mode()
def _answer(calls: list[Call], compute: Callable[[list[Call]], Iterable[torch.Tensor]]) -> None:
    try:
        for call, answer in zip(calls, compute(calls), strict=True):
            call.be_answered(answer)
    except Exception as error:  # raised again where the question was asked
        for call in calls:
            call.be_answered(error)


def _computed(calls: list[Call], size: int, compute: Compute) -> Iterable[torch.Tensor]:
    if size == 1 or not isinstance(calls[0].ask, torch.nn.Module):
        return [compute(call) for call in calls]
    filled = [*calls, *[calls[0]] * (size - len(calls))]
    rows = len(calls[0].sample)
    samples = torch.cat([call.sample for call in filled])
    times = torch.cat([call.timestep.float().expand(rows) for call in filled]).to(samples.device)
    try:
        answer = compute(Call(calls[0].ask, samples, times, **_joined([call.options for call in filled], rows)))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        # outside of one picture's drawing nothing can be tried once more
        raise EngineError(
            f"out of memory with {size} pictures at once", code="out_of_memory", hint="lower --batch_size"
        ) from error
    return list(answer.reshape(size, rows, *answer.shape[1:]))[: len(calls)]


def _joined(options: Sequence[Any], rows: int) -> Any:
    first = options[0]
    if isinstance(first, Mapping):
        return {name: _joined([option[name] for option in options], rows) for name in first}
    if first is None:
        return None
    return torch.cat([option.expand(rows, *option.shape[1:]) for option in options])


def mapped(option: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """`option` with every tensor in it changed, however deep it lies in mappings and lists."""
    if isinstance(option, torch.Tensor):
        return change(option)
    if isinstance(option, Mapping):
        return {name: mapped(value, change) for name, value in option.items()}
    if isinstance(option, tuple | list):
        return type(option)(mapped(value, change) for value in option)
    return option


def shape(value: Any) -> Hashable:
    """What questions have in common that can be put as one: the shapes and types of their tensors."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.dtype
    if isinstance(value, Mapping):
        return tuple((name, shape(part)) for name, part in value.items())
    if isinstance(value, tuple):
        return tuple(shape(part) for part in value)
    return str(value)

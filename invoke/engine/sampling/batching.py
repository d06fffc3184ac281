"""Draws several pictures at once: gathers their network calls into batches (`--batch_size`)."""

from collections import defaultdict
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import islice
from typing import Any

import torch

from invoke.engine.components.devices import is_out_of_memory
from invoke.engine.components.tensor_tree import mapped, shape
from invoke.engine.sampling.model_call import Executor, ModelCall, Outputs, PipelineEvent
from invoke.errors import EngineError, InvokeError
from invoke.events import EngineEvent


def run_batched(
    drawings: Sequence[Generator[PipelineEvent, None, Any]], size: int, compute: Executor
) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
    """Yield the events of all `drawings`, each with its index, or the error that it failed with.

    `size` of them run in lockstep; when one ends, the next begins. A network always gets full batches of `size` calls
    with one shape, padded if there are fewer: a picture's exact bits depend on the batch size, but neither on the other
    pictures nor on its place in the batch.
    """
    waiting = iter(enumerate(drawings))
    going = dict(islice(waiting, size))
    with ExitStack() as stack:
        for drawing in drawings:
            stack.enter_context(closing(drawing))
        while going:
            calls: list[ModelCall] = []
            for index in (places := list(going)):
                call = None
                try:
                    for happening in going[index]:
                        if isinstance(happening, ModelCall):
                            call = happening
                            break
                        yield index, happening
                except InvokeError as error:
                    yield index, error
                if call is not None:
                    call.owner = index
                    calls.append(call)
                    continue
                del going[index]
                for place, drawing in islice(waiting, 1):
                    going[place] = drawing
                    places.append(place)
            for batch in _sorted(calls, size):
                _resolve(batch, size, compute)


def _sorted(calls: Iterable[ModelCall], size: int) -> Iterator[list[ModelCall]]:
    """Group `calls` into batches of at most `size` with the same network and shapes."""
    if size == 1:
        yield from ([call] for call in calls)
        return
    groups: dict[Hashable, list[ModelCall]] = defaultdict(list)
    for call in calls:
        # a wrapper around a network (swaps) is called alone
        can_join = isinstance(call.network, torch.nn.Module)
        groups[(id(call.network), shape((call.sample, call.options))) if can_join else id(call)].append(call)
    for group in groups.values():
        yield from (group[start : start + size] for start in range(0, len(group), size))


def _resolve(calls: list[ModelCall], size: int, compute: Executor) -> None:
    try:
        with torch.inference_mode():
            for call, outputs in zip(calls, _computed(calls, size, compute), strict=True):
                call.set_result(outputs)
    except Exception as error:  # raised again in the generator of each picture
        if size > 1:
            error.add_note(f"in the call of the pictures {[call.owner for call in calls]} of the batch")
        for call in calls:
            call.set_result(error)


def _computed(calls: list[ModelCall], size: int, compute: Executor) -> Iterable[Outputs]:
    if size == 1 or not isinstance(calls[0].network, torch.nn.Module):
        return [compute(call) for call in calls]
    filled = [*calls, *[calls[0]] * (size - len(calls))]
    rows = len(calls[0].sample)
    samples = torch.cat([call.sample for call in filled])
    times = torch.cat([call.timestep.float().expand(rows) for call in filled]).to(samples.device)
    try:
        answer = compute(
            ModelCall(calls[0].network, samples, times, **_joined([call.options for call in filled], rows))
        )
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        # a batch cannot be retried: unlike a single picture's generator, it has no retry logic
        raise EngineError(
            f"out of memory with {size} pictures at once", code="out_of_memory", hint="lower --batch_size"
        ) from error
    return [mapped(answer, partial(_row, size, at)) for at in range(len(calls))]


def _row(size: int, index: int, answers: torch.Tensor) -> torch.Tensor:
    """The part of a batched result that belongs to the call at `index`."""
    return answers.chunk(size)[index]


def _joined(options: Sequence[Any], rows: int) -> Any:
    first = options[0]
    if isinstance(first, torch.Tensor):
        return torch.cat([option.expand(rows, *option.shape[1:]) for option in options])
    if isinstance(first, Mapping):
        return {name: _joined([option[name] for option in options], rows) for name in first}
    if isinstance(first, tuple | list):
        return [_joined(parts, rows) for parts in zip(*options, strict=True)]
    return first

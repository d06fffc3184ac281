"""Steps of a part, counted as those of the whole."""

from dataclasses import replace
from typing import TypeVar

from invoke.engine.sampling.model_call import Generation, change_events
from invoke.events import EngineEvent, Started, Step
from invoke.request import Request

T = TypeVar("T")


def offset_steps(
    generation: Generation[T], request: Request, *, before: int = 0, times: int = 1, after: int = 0
) -> Generation[T]:
    """`generation` as one of `times` equal parts of the run of `request`, which ends with `after` other steps.

    Its steps follow `before` others. Only the first part says that the run has started, and its notes.
    """
    if times == 1 and not before and not after:
        return generation  # it is the whole
    total = 0

    def changed(event: EngineEvent) -> EngineEvent | None:
        nonlocal total
        if isinstance(event, Started):
            total = event.total * times + after
            event = replace(event, request=request, total=total)
        elif isinstance(event, Step):
            return replace(event, index=before + event.index, total=total) if not before or event.index else None
        return None if before else event

    return change_events(generation, changed)

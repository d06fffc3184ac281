"""Renumbers the steps of a part as steps of the whole."""

from dataclasses import replace
from typing import TypeVar

from invoke.engine.sampling.model_call import Generation, change_events
from invoke.events import EngineEvent, Started, Step
from invoke.request import Request

T = TypeVar("T")


def offset_steps(
    generation: Generation[T], request: Request, *, before: int = 0, times: int = 1, after: int = 0
) -> Generation[T]:
    """Renumber the steps of `generation`, one of `times` equal parts of the run of `request`.

    Its steps follow `before` others, and `after` steps come after the last part. Started and notes are kept only in
    the first part.
    """
    if times == 1 and not before and not after:
        return generation
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

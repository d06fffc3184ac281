"""Retries work on a new engine when the engine dies or freezes."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import TypeVar

from invoke.engine import Job
from invoke.errors import EngineError, InvokeError
from invoke.events import EngineEvent, Finished, Note, Started

ATTEMPTS = 3
"""How many engines are tried for a picture."""

T = TypeVar("T")
Events = Generator[tuple[int, EngineEvent | InvokeError], None, None]


class EngineDiedError(EngineError):
    """The engine's process died, or was killed because it was frozen."""

    code = "engine_died"


def retried(generate: Callable[[Sequence[Job]], Events], jobs: Sequence[Job], attempts: int = ATTEMPTS) -> Events:
    """Yield the events of `generate`, which runs `jobs` on an engine that may die; see `Engine.generate_batch`.

    Pictures that were started but not finished are retried one by one, so that one that crashes every engine does not
    affect the others. It fails with EngineDiedError after `attempts` engines, and the others go on. With one attempt,
    EngineDiedError is raised at once.
    """
    groups = deque([list(range(len(jobs)))])
    deaths = Counter[int]()
    while groups:
        group = groups.popleft()
        begun, ended = set[int](), set[int]()
        try:
            with closing(generate([jobs[index] for index in group])) as events:
                for place, event in events:
                    index = group[place]
                    if isinstance(event, Started):
                        begun.add(index)
                    if isinstance(event, Finished | InvokeError):
                        ended.add(index)
                    yield index, event
        except EngineDiedError as error:
            if attempts == 1:
                raise
            left = [index for index in group if index not in ended]
            suspects = [index for index in left if index in begun] or left[:1]
            deaths.update(suspects)
            groups.extendleft(reversed([[index] for index in suspects if deaths[index] < attempts]))
            others = [index for index in left if index not in suspects]
            groups += [others] if others else []
            for index in suspects:
                yield index, _told_of(error, deaths[index], attempts)


def again(
    work: Callable[[], Generator[tuple[int, T], None, None]], attempts: int
) -> Generator[tuple[int, T], None, None]:
    """Yield what `work` yields; it is started again on a new engine if its engine dies."""
    for left in reversed(range(attempts)):
        try:
            with closing(work()) as events:
                yield from events
        except EngineDiedError:
            if not left:
                raise
        else:
            return


def _told_of(error: EngineDiedError, deaths: int, attempts: int) -> Note | EngineDiedError:
    if deaths < attempts:
        return Note(f"{error.message}: trying this picture again on a new engine")
    return EngineDiedError(
        f"{error.message}, as did {deaths - 1} others with this picture: it is skipped",
        hint="a smaller -W and -H need less memory; the log has the engine's last output",
    )

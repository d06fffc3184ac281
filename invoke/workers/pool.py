"""Open lines and pictures in progress: saved as they arrive, numbered in the order of their file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from invoke.errors import InvokeError
from invoke.events import Event
from invoke.language.plan import Plan
from invoke.outputs.writer import LineFiles
from invoke.workers.line_run import LineRun, PictureRun
from invoke.workers.messages import Lanes
from invoke.workers.scheduler import LaneNews, News, Outcome, Picture, Retried, Scheduler
from invoke.workers.task import EncodedPicture

OPEN_LINES = 16
"""For each lane, at most: as far as the batch reads ahead."""
LONGEST_CHAIN = 8
"""Most consecutive parts of a chain given to one lane; beyond that, another lane makes the previous part again."""


@dataclass(frozen=True, slots=True)
class PictureEvent:
    """Something happened to picture `index` of a line, on a worker."""

    line: int
    index: int
    worker: int
    event: Event


@dataclass(frozen=True, slots=True)
class SheetSaved:
    """A sheet of a line's pictures was saved."""

    line: int
    event: Event


@dataclass(frozen=True, slots=True)
class LineEnded:
    """A line has ended."""

    line: int
    error: InvokeError | None
    is_whole: bool
    """Whether everything was made; may be False without an error if the batch was stopped."""


PoolEvent = PictureEvent | SheetSaved | LineEnded | LaneNews | Retried


@dataclass
class _Open:
    run: LineRun
    in_work: dict[int, PictureRun] = field(default_factory=dict)
    """Index → queued with the scheduler, or on a lane."""
    is_cut: bool = False
    """Whether pictures of it were dropped."""
    has_ended: bool = False

    @property
    def made(self) -> list[tuple[str, int]]:
        return self.run.made


@dataclass
class _PassedOver:
    """A line that was made earlier."""

    made: list[tuple[str, int]]


class WorkerPool:
    """Carries out plans on lanes. `remember` is given the path and seed of pictures, in the order of the lines."""

    def __init__(self, lanes: Lanes, remember: Callable[[Iterable[tuple[str, int]]], None]) -> None:
        self._lanes = lanes
        self._scheduler = Scheduler(lanes)
        self._remember = remember
        self._order: deque[_Open | _PassedOver] = deque()
        """In the order of the lines; those that have ended wait for the ones before them."""
        self._by_key: dict[int, _Open] = {}
        self._is_stopped = False

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def scheduler(self) -> Scheduler:
        return self._scheduler

    @property
    def has_room(self) -> bool:
        """Whether another line should be opened before waiting."""
        return self._scheduler.wanted > 0 and len(self._order) < OPEN_LINES * len(self._lanes)

    @property
    def is_idle(self) -> bool:
        """Whether every line has ended."""
        return not self._order

    def open(self, key: int, plan: Plan, files: LineFiles) -> None:
        """Carry out `plan`; its events come with `key`."""
        line = _Open(LineRun(key, plan, files))
        self._order.append(line)
        self._by_key[key] = line
        self._fill()

    def pass_over(self, pictures: list[tuple[str, int]]) -> None:
        """Path and seed of pictures of a line that was made earlier: remembered when it is their turn."""
        self._order.append(_PassedOver(pictures))
        self._remember_ended()

    def arrived(self) -> Iterator[PoolEvent]:
        """Events that have arrived, without waiting or starting anything."""
        yield from self._follow(self._scheduler.arrived())

    def abandon(self) -> None:
        """Forget all lines; they have no further events."""
        self._order.clear()
        self._by_key.clear()

    def stop(self) -> None:
        """Start no new pictures; those in progress are finished and kept."""
        self._is_stopped = True
        for line in self._by_key.values():
            self._drop(line)

    def pump(self, timeout: float) -> Iterator[PoolEvent]:
        """Process one message, waiting up to `timeout` seconds for it. Raises EngineError if no lane is left."""
        self._fill()
        yield from self._end_lines()
        if self._order or timeout:
            yield from self._follow(self._scheduler.pump(timeout if self._order else 0.0))
            self._fill()

    def _follow(self, news: Iterable[News]) -> Iterator[PoolEvent]:
        for one in news:
            if isinstance(one, Outcome):
                yield from self._heed(one)
            else:
                yield one
        yield from self._end_lines()

    def close(self) -> None:
        """End the lanes, whatever they are doing."""
        self._lanes.close()

    def _fill(self) -> None:
        """Queue as many pictures as the lanes can start soon, in the order of the lines."""
        for line in self._by_key.values():
            while not self._is_stopped and line.run.next and not line.run.is_blocked:
                if not self._scheduler.wanted:
                    return
                self._queue(line)

    def _queue(self, line: _Open) -> None:
        taken = [line.run.take()]
        while (
            len(taken) < LONGEST_CHAIN
            and (following := line.run.next) is not None
            and following.source is None
            and following.request.before is not None
        ):
            taken.append(line.run.take())
        line.in_work |= {picture.index: picture for picture in taken}
        self._scheduler.add([Picture(line.run.number, picture.index, picture.task) for picture in taken])

    def _heed(self, outcome: Outcome) -> Iterator[PoolEvent]:
        key, index = outcome.picture.line, outcome.picture.index
        line = self._by_key.get(key)
        picture = line.in_work.get(index) if line is not None else None
        if line is None or picture is None:
            return
        match outcome.event:
            case EncodedPicture(files):
                del line.in_work[index]
                try:
                    for file in filter(picture.needs, files):
                        yield PictureEvent(key, index, outcome.lane, picture.save(file))
                except InvokeError as error:
                    self._fail(line, error)
            case InvokeError() as error:
                del line.in_work[index]
                self._fail(line, error)
            case event:
                yield PictureEvent(key, index, outcome.lane, event)

    def _fail(self, line: _Open, error: InvokeError) -> None:
        line.run.error = line.run.error or error
        self._drop(line)

    def _drop(self, line: _Open) -> None:
        """Drop the pictures of `line` that no lane has started."""
        for dropped in self._scheduler.drop(line.run.number):
            line.in_work.pop(dropped.index, None)
            line.is_cut = True

    def _end_lines(self) -> Iterator[PoolEvent]:
        for line in list(self._by_key.values()):
            is_over = line.run.next is None or self._is_stopped
            if is_over and not line.in_work and not line.has_ended:
                yield from self._end(line)
        self._remember_ended()

    def _remember_ended(self) -> None:
        while self._order and (isinstance(first := self._order[0], _PassedOver) or first.has_ended):
            self._remember(first.made)
            self._order.popleft()

    def _end(self, line: _Open) -> Iterator[PoolEvent]:
        run = line.run
        line.has_ended = True
        is_whole = run.error is None and run.next is None and not line.is_cut
        try:
            for saved in run.sheets() if is_whole else ():
                yield SheetSaved(run.number, saved)
        except InvokeError as error:
            run.error, is_whole = error, False
        run.files.close()
        self._scheduler.forget(run.number)
        del self._by_key[run.number]
        yield LineEnded(run.number, run.error, is_whole)

"""Gives pictures to lanes as these become free; after a lost worker they are tried again, up to three times.

Knows neither processes nor Ray: a lane is anything that answers as `messages.Lanes` says.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING, Literal

from invoke.errors import EngineError, InvokeError
from invoke.events import Downloading, EngineEvent, Loading
from invoke.workers.messages import Died, Ended, Gone, Happened, Hello, Lanes, Lost, Message, Up
from invoke.workers.task import EncodedPicture, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.outputs.speeds import Speed

DEATHS = 3
"""Number of lost workers after which a line fails."""
SILENCE = 60.0
"""Minimum seconds without an event after which a worker counts as hung."""
SLOWER = 20
"""The same, as a multiple of the usual time of a picture."""
LOADING = 1800.0
"""Seconds that loading or downloading a model may take without an event."""
FIRST = 600.0
"""Seconds within which the first worker must start."""
QUICK = 0.1
"""Pictures that take fewer seconds are handed out several at a time."""
TOGETHER = 8
"""The largest number of them."""

NO_WORKERS = "no_workers"
"""Error code if no worker is left."""

State = Literal["starting", "up", "lost", "gone"]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture to be made."""

    line: int
    """The key of its line."""
    index: int
    """Index in its line."""
    task: Task


@dataclass(frozen=True, slots=True)
class Outcome:
    """An update on a picture: an event, its files, or its error."""

    picture: Picture
    event: EngineEvent | EncodedPicture | InvokeError
    lane: int


@dataclass(frozen=True, slots=True)
class Retried:
    """A picture is started again because of `why`."""

    picture: Picture
    why: str


@dataclass(frozen=True, slots=True)
class LaneNews:
    """A lane came up, was lost, or is gone."""

    lane: int
    state: State
    hello: Hello | None
    reason: str = ""


News = Outcome | Retried | LaneNews


@dataclass
class _Lane:
    state: State = "starting"
    hello: Hello | None = None
    call: int = 0
    work: list[Picture | None] = field(default_factory=list)
    """Its tasks; None for finished ones. Empty if it is free."""
    last_message: float = 0.0
    begun: float = 0.0
    is_loading: bool = False
    why_gone: str = ""

    @property
    def is_free(self) -> bool:
        return self.state == "up" and not self.work  # all pictures of the call are made, but it has not ended yet

    @property
    def unfinished(self) -> list[Picture]:
        return [picture for picture in self.work if picture is not None]


class Scheduler:
    """Hands pictures to lanes in the order in which they were added."""

    def __init__(self, lanes: Lanes, *, clock: Callable[[], float] = monotonic) -> None:
        self._lanes = lanes
        self._clock = clock
        self._states = [_Lane() for _ in range(len(lanes))]
        self._queue: deque[tuple[Picture, ...]] = deque()
        self._deaths: Counter[int] = Counter()
        self._seconds: deque[float] = deque(maxlen=31)
        """Durations of the newest pictures."""
        self._weights: dict[tuple[str, str], str] = {}
        """Model and network → SHA-256, as on the first worker that used them."""
        self._calls = 0
        self._began = clock()
        self.retried = 0
        """Number of pictures that were started again."""
        self.speeds: list[Speed] = []
        """Measured on workers, until they are collected."""

    def add(self, pictures: Sequence[Picture]) -> None:
        """Queue a unit for one lane: one picture, or consecutive parts of a chain."""
        self._queue.append(tuple(pictures))

    def drop(self, line: int) -> list[Picture]:
        """Remove and return the queued units of `line`; those in progress continue."""
        dropped = [picture for unit in self._queue for picture in unit if picture.line == line]
        if dropped:
            self._queue = deque(unit for unit in self._queue if unit[0].line != line)
        return dropped

    def forget(self, line: int) -> None:
        """Drop the state kept for `line`, which has ended."""
        self._deaths.pop(line, None)

    @property
    def wanted(self) -> int:
        """Number of units to add to the queue so that no lane has to wait."""
        present = sum(lane.state != "gone" for lane in self._states)
        newest = self._queue[-1][0].task.request.batch_size if self._queue else 1
        per_lane = 2 * newest if newest > 1 else self._together()
        return max(0, present * per_lane - len(self._queue))

    @property
    def is_busy(self) -> bool:
        """Whether anything is queued or in work."""
        return bool(self._queue) or any(lane.work for lane in self._states)

    @property
    def up(self) -> int:
        """Number of lanes that are ready for work."""
        return sum(lane.state == "up" for lane in self._states)

    def pump(self, timeout: float) -> Iterator[News]:
        """Feed free lanes, wait up to `timeout` seconds for a message, and yield what it means.

        Raises EngineError (code `no_workers`) when no lane is left, or none has come up.
        """
        self._feed()
        message = self._lanes.wait(timeout)
        if message is not None:
            yield from self._heed(*message)
        yield from self._kill_silent()
        self._insist_on_lanes()
        self._feed()

    def arrived(self) -> Iterator[News]:
        """News that has arrived, without waiting or starting anything."""
        while (message := self._lanes.wait(0.0)) is not None:
            yield from self._heed(*message)

    def _feed(self) -> None:
        for number, lane in enumerate(self._states):
            if lane.is_free and (pictures := list(self._next())):
                self._give(number, lane, pictures)

    def _give(self, number: int, lane: _Lane, pictures: Sequence[Picture]) -> None:
        self._calls += 1
        lane.call, lane.work, lane.is_loading = self._calls, [*pictures], False
        lane.last_message = lane.begun = self._clock()
        self._lanes.give(number, lane.call, [picture.task for picture in pictures])

    def _next(self) -> Iterator[Picture]:
        """The next unit, and those to hand out with it: drawn at once, or too quick to send alone."""
        first = next((unit for unit in self._queue if not self._must_wait(unit)), None)
        if first is None:
            return
        self._queue.remove(first)
        yield from first
        if len(first) > 1 or self._has_killed(first):
            return  # a line that may have killed a worker is tried alone
        task = first[0].task
        limit = 2 * task.request.batch_size if task.request.batch_size > 1 else self._together()
        fair = -(-(len(self._queue) + 1) // max(1, self.up))
        for _ in range(min(limit, fair) - 1):
            if not self._queue or not self._fits(task, self._queue[0]):
                return
            yield from self._queue.popleft()

    def _has_killed(self, unit: tuple[Picture, ...]) -> bool:
        return self._deaths.get(unit[0].line, 0) > 0

    def _must_wait(self, unit: tuple[Picture, ...]) -> bool:
        """Whether `unit` must wait: its line has killed a worker, and another picture of it is in progress."""
        line = unit[0].line
        return self._has_killed(unit) and any(
            picture.line == line for lane in self._states for picture in lane.unfinished
        )

    def _fits(self, task: Task, unit: tuple[Picture, ...]) -> bool:
        other = unit[0].task.request
        return (
            len(unit) == 1
            and not self._has_killed(unit)
            and (other.model, other.size, other.batch_size)
            == (task.request.model, task.request.size, task.request.batch_size)
        )

    def _together(self) -> int:
        """Number of quick pictures to hand out at once."""
        usual = median(self._seconds) if self._seconds else QUICK
        return max(2, min(TOGETHER, round(QUICK / max(usual, 0.001)))) if usual < QUICK else 1

    def _heed(self, number: int, message: Message) -> Iterator[News]:
        lane = self._states[number]
        lane.last_message = self._clock()
        match message:
            case Up(hello):
                yield from self._welcome(number, hello)
            case Happened(call, index, event) if call == lane.call and lane.work:
                yield from self._happened(number, index, event)
            case Ended(call, speed) if call == lane.call and lane.work:
                if speed is not None:
                    self.speeds.append(speed)
                yield from self._blame(number, "it ended without a result")
            case Died(call, why) if call == lane.call and lane.work:
                yield from self._blame(number, why)
            case Lost(why):
                yield from self._leave(number, "lost", why)
            case Gone(why):
                yield from self._leave(number, "gone", why)

    def _welcome(self, number: int, hello: Hello) -> Iterator[News]:
        lane = self._states[number]
        if lane.state == "gone":
            return
        first = next((other.hello for other in self._states if other.hello is not None), None)
        if first is not None and (why := _difference(first, hello)):
            self._lanes.kill(number)
            yield from self._leave(number, "gone", why)
            return
        lane.state, lane.hello = "up", hello
        yield LaneNews(number, "up", hello)

    def _happened(self, number: int, index: int, event: EngineEvent | EncodedPicture | InvokeError) -> Iterator[News]:
        lane = self._states[number]
        picture = lane.work[index]
        if picture is None:
            return
        lane.is_loading = isinstance(event, Loading | Downloading)
        is_made = isinstance(event, EncodedPicture)
        if isinstance(event, EncodedPicture) and (network := self._other_weights(picture.task.request.model, event)):
            host = lane.hello.host if lane.hello else f"worker {number}"
            self._lanes.kill(number)
            yield from self._leave(number, "gone", f"{host} has other weights of {network} than the other workers")
            return
        if is_made or isinstance(event, InvokeError):
            lane.work[index] = None
            if is_made:
                self._seconds.append(lane.last_message - lane.begun)
                lane.begun = lane.last_message
        yield Outcome(picture, event, number)

    def _other_weights(self, model: str, made: EncodedPicture) -> str:
        """The first network of `model` with weights other than those of the first picture; "" if all are equal."""
        for network, sha256 in made.weights.items():
            if self._weights.setdefault((model, network), sha256) != sha256:
                return model if network == "model" else network
        return ""

    def _leave(self, number: int, state: State, why: str) -> Iterator[News]:
        lane = self._states[number]
        if lane.state == "gone":
            return
        lane.state, lane.why_gone = state, why
        yield LaneNews(number, state, lane.hello, why)
        yield from self._blame(number, why)

    def _blame(self, number: int, why: str) -> Iterator[News]:
        """The lane's work has ended: queue unfinished units again, the one in progress last."""
        lane = self._states[number]
        unfinished, lane.work = lane.unfinished, []
        if not unfinished:
            return
        culprit, *innocent = unfinished  # they are made in order
        self._queue.extendleft((picture,) for picture in reversed(innocent))
        self._deaths[culprit.line] += 1
        if self._deaths[culprit.line] < DEATHS:
            self.retried += 1
            self._queue.append((culprit,))
            yield Retried(culprit, why)
            return
        hint = "lower -W and -H, or run this line alone to see why"
        error = EngineError(f"its worker died {DEATHS} times ({why})", code="worker_died", hint=hint)
        yield Outcome(culprit, error, number)

    def _kill_silent(self) -> Iterator[News]:
        now = self._clock()
        usual = median(self._seconds) if self._seconds else 0.0
        for number, lane in enumerate(self._states):
            limit = LOADING if lane.is_loading else max(SILENCE, SLOWER * usual)
            if lane.state == "up" and lane.work and now - lane.last_message > limit:
                self._lanes.kill(number)
                yield from self._leave(number, "lost", f"no sign of life for {limit:.0f} s")

    def _insist_on_lanes(self) -> None:
        if all(lane.state == "gone" for lane in self._states):
            raise _no_workers(lane.why_gone for lane in self._states)
        if all(lane.state == "starting" for lane in self._states) and self._clock() - self._began > FIRST:
            raise _no_workers([f"none started within {FIRST:.0f} s"])


def _no_workers(reasons: Iterable[str]) -> EngineError:
    return EngineError(
        f"no workers are left: {'; '.join(dict.fromkeys(reasons))}",
        code=NO_WORKERS,
        hint="the pictures made so far are kept; --resume continues",
    )


def _untagged(version: str) -> str:
    """A version without its build tag, such as `+cpu`."""
    return version.partition("+")[0]


def _difference(first: Hello, other: Hello) -> str:
    """Why `other` would make other pictures than `first`; "" if it would not."""
    for name, version in first.versions.items():
        other_version = other.versions.get(name, "not installed")
        if _untagged(other_version) != _untagged(version):
            return f"{other.host} has {name} {other_version}, the other workers have {version}"
    return ""

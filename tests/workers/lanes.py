"""Lanes in this process, in an order chosen by the test, with injected faults."""

from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from random import Random

from invoke.engine import Job
from invoke.errors import EngineError, InvokeError
from invoke.events import EngineEvent, Finished
from invoke.models import read_registry
from invoke.options import EngineOptions
from invoke.request import Request
from invoke.workers.host import Host, Setup
from invoke.workers.messages import Died, Ended, Gone, Hello, Lost, Message, Up
from invoke.workers.task import Task
from tests.fakes import FakeEngine

SETUP = Setup(EngineOptions(), read_registry(), "pocket")


class HostedFake(FakeEngine):
    """A FakeEngine that says where it computes, with what weights; a prompt that begins with `poison` kills it."""

    weights = "1"

    def place(self, model: str) -> tuple[str, str] | None:
        return "cpu", "float32"

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        for index, event in super().generate_batch(jobs):
            if jobs[index][0].prompt.startswith("poison"):
                raise EngineError("the engine process died (killed by SIGSEGV)", code="engine_died")
            if isinstance(event, Finished):
                event = replace(event, facts=replace(event.facts, hashes={"model": self.weights}))  # noqa: PLW2901
            yield index, event


class FakeLanes:
    """`count` lanes on fake engines; `random` decides which one proceeds. `faults` of all messages are kills of a lane,
    but for one prompt at most twice. `weights` are those of each lane's model."""

    def __init__(
        self,
        count: int,
        random: Random,
        *,
        faults: float = 0.0,
        versions: Sequence[str] = (),
        weights: Sequence[str] = (),
    ) -> None:
        self.random, self.faults = random, faults
        self.engines = [HostedFake() for _ in range(count)]
        for engine, sha256 in zip(self.engines, weights, strict=False):
            engine.weights = sha256
        self.hosts = [Host(engine, SETUP) for engine in self.engines]
        self.queues: list[deque[Message]] = [deque() for _ in range(count)]
        self.work: list[Iterator[Message] | None] = [None] * count
        self.tasks: list[tuple[int, Sequence[Task]]] = [(0, ())] * count
        self.killed = Counter[str]()
        self.given = 0
        self.largest = 0
        self.deaths = 0
        for lane, queue in enumerate(self.queues):
            queue.append(Up(self.hello(lane, versions[lane] if versions else "1")))

    def __len__(self) -> int:
        return len(self.queues)

    def hello(self, lane: int, version: str = "1") -> Hello:
        return Hello(f"host{lane}", 100 + lane, "cpu", "float32", 1, {"torch": version})

    def give(self, lane: int, call: int, tasks: Sequence[Task]) -> None:
        assert self.work[lane] is None, "a lane that is busy was given more"
        self.given += len(tasks)
        self.largest = max(self.largest, len(tasks))
        self.work[lane] = self.hosts[lane].run(call, tasks)
        self.tasks[lane] = call, tasks

    def wait(self, timeout: float) -> tuple[int, Message] | None:
        ready = [lane for lane in range(len(self)) if self.queues[lane] or self.work[lane] is not None]
        if not ready:
            return None
        lane = self.random.choice(ready)
        if self.queues[lane]:
            return lane, self.queues[lane].popleft()
        if (message := self._fault(lane)) is not None:
            return lane, message
        running = self.work[lane]
        assert running is not None
        message = next(running)
        if isinstance(message, Ended | Died):
            self.work[lane] = None
            self.deaths += isinstance(message, Died)
        return lane, message

    def kill(self, lane: int) -> None:
        self.work[lane] = None
        self.queues[lane].append(Up(self.hello(lane)))

    def close(self) -> None:
        self.work = [None] * len(self)

    def _fault(self, lane: int) -> Message | None:
        call, tasks = self.tasks[lane]
        prompts = {_root(task.request).prompt for task in tasks}  # any of them may be blamed
        if any(self.killed[prompt] >= 2 for prompt in prompts) or self.random.random() >= self.faults:
            return None
        self.killed.update(prompts)
        self.deaths += 1
        self.work[lane] = None
        if self.random.random() < 0.5:
            return Died(call, "killed by SIGSEGV")
        self.queues[lane].append(Up(self.hello(lane)))
        return Lost("killed by SIGKILL")


def _root(request: Request) -> Request:
    """The first part of a chain."""
    while request.before is not None:
        request = request.before
    return request


def slow_fake(setup: Setup) -> HostedFake:
    """The engine of a Ray actor."""
    return HostedFake(pause=0.02)


class GoneLanes(FakeLanes):
    """Lanes that never come up."""

    def __init__(self, count: int) -> None:
        super().__init__(count, Random(0))
        for lane, queue in enumerate(self.queues):
            queue.clear()
            queue.append(Gone(f"host{lane}: pocket: there is no such model"))

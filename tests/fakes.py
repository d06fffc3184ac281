"""A fake engine without a model, for everything that is not about pixels."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from threading import Event as Flag

from invoke.engine import Job
from invoke.errors import EngineError, InvokeError
from invoke.events import (
    NO_PREVIEWS,
    EngineEvent,
    EngineState,
    Finished,
    Freed,
    Pixels,
    Previews,
    RunInfo,
    Started,
    Step,
    single,
)
from invoke.models import Registry
from invoke.request import Mode, Request, steps_left
from invoke.samplers import calls

SIDE = 16


class FakeEngine:
    """Makes one flat colour per seed, in as many steps as a real engine takes.

    `outcomes` replace its results, one for each request in turn: an error is raised after the first step, None
    is an ordinary picture. `pause` is the seconds that a step takes, `at_step` is called with its index.
    """

    def __init__(
        self,
        *outcomes: Exception | None,
        pause: float = 0.0,
        at_step: Callable[[int], None] = lambda index: None,
    ) -> None:
        self.outcomes = deque(outcomes)
        self.pause = pause
        self.at_step = at_step
        self.requests: list[Request] = []
        self.loaded: list[str] = []
        self.finished = 0
        self.stopped = 0
        """How many requests were closed in the middle."""
        self.killed = 0
        self.died = Flag()
        """Ends a step at once."""
        self.closed = False
        self.state = EngineState("ready", "pocket", device="cpu", dtype="float32")
        self.in_memory: tuple[str, ...] = ()
        self.models: Registry | None = None

    def generate(self, request: Request, *, previews: Previews = NO_PREVIEWS) -> Generator[EngineEvent, None, None]:
        return single(self.generate_batch([(request, previews)]))

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        for index, job in enumerate(jobs):
            with closing(self.draw(*job)) as events:
                try:
                    for event in events:
                        yield index, event
                except InvokeError as error:
                    yield index, error

    def draw(self, request: Request, previews: Previews) -> Generator[EngineEvent, None, None]:
        self.requests.append(request)
        outcome = self.outcomes.popleft() if self.outcomes else None
        mode, total = _mode(request), _total(request)
        try:
            yield Started(request, mode, total, 1.0)
            for index in range(total + 1):
                self.at_step(index)
                if self.died.wait(self.pause):
                    self.died.clear()
                    raise EngineError("the engine process died", code="engine_died")
                kept = previews.shown(index, total)
                yield Step(index, total, 999.0 - index, a_picture(request.seed) if kept else None)
                if outcome is not None:
                    raise outcome
        except GeneratorExit:
            self.stopped += 1
            raise
        self.finished += 1
        facts = RunInfo(mode=mode, steps_taken=total, painted=1.0, device="cpu", dtype="float32")
        yield Finished(request, a_picture(request.seed), facts)

    def unload(self) -> Generator[EngineEvent, None, None]:
        yield Freed("cpu", 900_000_000, 400_000_000)

    def set_models(self, models: Registry) -> None:
        self.models = models

    def load(self, model: str) -> None:
        self.loaded.append(model)

    def kill(self) -> None:
        self.killed += 1
        self.died.set()

    def close(self) -> None:
        self.closed = True


def a_picture(seed: int, side: int = SIDE) -> Pixels:
    """A flat picture whose colour is the seed's last three bytes."""
    return Pixels(side, side, (seed % 2**24).to_bytes(3, "big") * side * side)


def _mode(request: Request) -> Mode:
    if request.init_image is None:
        return "txt2img"
    return "img2img" if request.mask_image is None and request.text_mask is None else "inpaint"


def _total(request: Request) -> int:
    points = request.steps if request.init_image is None else steps_left(request.steps, request.strength)
    return calls(request.scheduler, points)

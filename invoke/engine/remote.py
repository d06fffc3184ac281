"""RemoteEngine: the engine in a process of its own, so that typing never waits for it. Imports nothing heavy."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Generator, Sequence
from time import sleep
from typing import TYPE_CHECKING

from invoke.engine import Wish
from invoke.engine.messages import STARTING, Agree, Cancel, Check, Draw, Ended, Free, Know, Load, Look, State, Told
from invoke.engine.options import EngineOptions
from invoke.errors import EngineError, InvokeError
from invoke.events import NO_PREVIEWS, EngineEvent, Freed, Previews, Wanted, of_one
from invoke.models import Registry
from invoke.request import Request

if TYPE_CHECKING:
    from invoke.engine.process import EngineProcess

POLL = 0.02
"""Seconds between two looks at a model that is being loaded."""
_log = logging.getLogger(__name__)


class RemoteEngine:
    """An `Engine` whose work is done by a process that is started when first needed, and again when it died."""

    def __init__(self, models: Registry, options: EngineOptions | None = None) -> None:
        self._models = models
        self._options = options or EngineOptions()
        self._process: EngineProcess | None = None
        self._calls = itertools.count(1)

    @property
    def state(self) -> str:
        """`not started`, `starting`, `loading pocket`, `ready: pocket on cpu float32`, `not loaded: …`, `stopped`."""
        return self._process.state.text if self._process else "not started"

    @property
    def in_memory(self) -> tuple[str, ...]:
        """See `Engine.in_memory`: as of the last time that a model was ready."""
        return self._process.in_memory if self._process else ()

    def place(self, model: str) -> tuple[str, str] | None:
        """Wait until `model` is ready: the device and precision that it got, or None when it cannot be loaded."""
        self.load(model)
        process = self._running()
        while process.state.text.startswith(("starting", "loading")):
            sleep(POLL)
        return (process.state.device, process.state.dtype) if process.state.device else None

    def generate(self, request: Request, *, previews: Previews = NO_PREVIEWS) -> Generator[EngineEvent, None, None]:
        """See `Engine.generate`. Closed in the middle, it returns at once; the step that is running ends unseen."""
        return of_one(self.generate_together([(request, previews)]))

    def generate_together(self, wishes: Sequence[Wish]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        """See `Engine.generate_together`; the next picture is drawn while the events of this one are read."""
        return self._told(Draw(next(self._calls), tuple(wishes)))

    def look(self, path: str, text: str) -> Generator[EngineEvent, None, None]:
        """See `Engine.look`."""
        return of_one(self._told(Look(next(self._calls), path, text)))

    def free(self) -> Generator[EngineEvent, None, None]:
        """See `Engine.free`; behind what the engine is busy with."""
        if self._process is None or not self._process.alive:
            yield Freed("cpu", 0, 0)
        else:
            freed: Generator[EngineEvent, None, None] = of_one(self._told(Free(next(self._calls))))
            yield from freed

    def check_device(self) -> None:
        """Wait until it is known whether the device that is asked for is there. Raises EngineError if it is not."""
        for _ in self._told(Check(next(self._calls))):
            pass

    def _told(self, wish: Draw | Look | Free | Check) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        call, process = wish.call, self._running()
        answers, ended = process.expect(call), False
        try:
            process.send(wish)
            while True:
                match answers.get():
                    case Told(_, event, index):
                        yield index, event
                        if isinstance(event, Wanted):
                            process.send(Agree(call))
                    case Ended(_, error, traceback):
                        ended = True
                        if traceback:
                            _log.error("the engine failed\n%s", traceback)
                        if error:
                            raise error
                        return
                    case _:
                        ended = True
                        raise EngineError(
                            f"the engine process died ({process.how_it_ended()})",
                            code="engine_died",
                            hint="the next line starts a new one",
                        )
        finally:
            process.forget(call)
            if not ended:
                process.send(Cancel(call))

    def load(self, model: str) -> None:
        """Begin to make `model` ready and return at once. Raises ModelError when no model has this name."""
        spec, process = self._models.find(model), self._running()
        if process.state.text != STARTING:
            process.state = State(f"loading {spec.name}")  # until the worker has read it, nothing else is true
        process.send(Load(model))

    def know(self, models: Registry) -> None:
        """The models that can be named from now on."""
        self._models = models
        if self._process:
            self._process.send(Know(models))

    def kill(self) -> None:
        """Abandon whatever is going on. The next request starts a new process."""
        if self._process:
            self._process.kill()

    def close(self) -> None:
        if self._process:
            self._process.close()
            self._process = None

    def _running(self) -> EngineProcess:
        if self._process is None or not self._process.alive:
            from invoke.engine.process import EngineProcess

            self.close()
            self._process = EngineProcess(self._options, self._models)
        return self._process

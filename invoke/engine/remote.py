"""RemoteEngine: the engine in a process of its own, so that typing never waits for it. Imports nothing heavy."""

import itertools
import logging
from collections.abc import Generator
from time import sleep

from invoke.engine.messages import Cancel, Draw, Ended, Load, State, Told
from invoke.engine.options import EngineOptions
from invoke.engine.process import STARTING, EngineProcess
from invoke.errors import EngineError
from invoke.events import EngineEvent
from invoke.models import Registry
from invoke.request import Request

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

    def place(self, model: str) -> tuple[str, str] | None:
        """Wait until `model` is ready: the device and precision that it got, or None when it cannot be loaded."""
        self.load(model)
        process = self._running()
        while process.state.text.startswith(("starting", "loading")):
            sleep(POLL)
        return (process.state.device, process.state.dtype) if process.state.device else None

    def generate(self, request: Request, *, preview_every: int = 0) -> Generator[EngineEvent, None, None]:
        """See `Engine.generate`. Closed in the middle, it returns at once; the step that is running ends unseen."""
        spec = self._models.find(request.model)
        call = next(self._calls)
        process = self._running()
        answers, ended = process.expect(call), False
        try:
            process.send(Draw(call, request, spec, preview_every))
            while True:
                match answers.get():
                    case Told(_, event):
                        yield event
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
        process.send(Load(spec))

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
            self.close()
            self._process = EngineProcess(self._options)
        return self._process

"""The engine's own process: reads questions on its standard input, answers on its standard output.

It ends when its input does, so it never outlives the shell, however that ended.
"""

import gc
import os
import signal
import threading
import traceback
from collections.abc import Callable, Collection
from contextlib import closing
from queue import SimpleQueue
from time import sleep
from typing import TYPE_CHECKING, BinaryIO

from invoke.engine.process.messages import (
    Answer,
    Beat,
    Cancel,
    CheckDevice,
    Confirm,
    Done,
    Event,
    Generate,
    Load,
    Segment,
    SetModels,
    Start,
    StateChanged,
    Unload,
)
from invoke.engine.process.waiting import waiting_variables
from invoke.errors import MORE_MEMORY, EngineError, InvokeError, ModelError, first_line, says_no_memory
from invoke.events import Downloading, DownloadRequired, EngineState, Freed, Loaded, Loading
from invoke.models import Registry
from invoke.options import EngineOptions
from invoke.processes import ENVIRONMENT, own_streams, receive, send

if TYPE_CHECKING:
    from invoke.engine.diffusion_engine import DiffusionEngine


BEAT = 1.0
"""Seconds between two signs of life."""


def main() -> None:
    """Run until the input ends. Called in a fresh process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = own_streams()
    os.environ.update(ENVIRONMENT)
    os.environ.update(waiting_variables(os.environ))
    gc.disable()  # until the libraries are imported: collections would look through them for most of a second
    Worker(questions, answers, _diffusion_engine).run()


def _diffusion_engine(models: Registry, options: EngineOptions) -> "DiffusionEngine":
    from invoke.engine.diffusion_engine import DiffusionEngine

    return DiffusionEngine(models, options)


class Worker:
    """Answers questions one after another; only Cancel and Confirm overtake."""

    def __init__(
        self, questions: BinaryIO, answers: BinaryIO, make: "Callable[[Registry, EngineOptions], DiffusionEngine]"
    ) -> None:
        """`make` is called for the engine when it is first needed."""
        self._questions, self._answers, self._make = questions, answers, make
        self._waiting: SimpleQueue[Start | SetModels | Load | Generate | Segment | Unload | CheckDevice] = SimpleQueue()
        self._sending = threading.Lock()
        self._cancelled: set[int] = set()
        self._agreed: set[int] = set()
        self._answered = threading.Condition()
        """Notified when a call is cancelled or agreed to."""
        self._settled: EngineState | None = None
        """What was said last of the model that lines are made with: ready, or why it is not loaded."""
        self._models = Registry({})
        self._engine: DiffusionEngine | None = None

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        begin = self._waiting.get()
        assert isinstance(begin, Start)
        while True:
            match self._waiting.get():
                case SetModels(models):
                    self._know(models)
                case Load(model):
                    self._load(begin, model)
                case Generate() | Segment() | Unload() | CheckDevice() as job:
                    self._grant(begin, job)

    def _listen(self) -> None:
        while True:
            try:
                question = receive(self._questions)
            except EOFError:
                os._exit(0)  # the shell is gone; the step that is running serves nobody
            if isinstance(question, Cancel | Confirm):
                with self._answered:
                    (self._cancelled if isinstance(question, Cancel) else self._agreed).add(question.call)
                    self._answered.notify_all()
            else:
                assert isinstance(question, Start | SetModels | Load | Generate | Segment | Unload | CheckDevice)
                self._waiting.put(question)

    def _beat(self) -> None:
        """Tell whoever waits that this process is not stopped."""
        while True:
            sleep(BEAT)
            self._send(Beat())

    def _send(self, answer: Answer) -> None:
        with self._sending:
            send(self._answers, answer)

    def _know(self, models: Registry) -> None:
        self._models = models
        if self._engine is not None:
            self._engine.set_models(models)

    def _load(self, begin: Start, model: str) -> None:
        self._report_state(EngineState("loading", model))
        try:
            engine = self._made(begin)
            engine.load(model)
        except Exception as error:  # the next request meets it again, and reports it
            self._settle(EngineState("failed", model, error.message if isinstance(error, InvokeError) else model))
        else:
            place = engine.place_of(model)
            device, dtype = place.device_name, place.dtype_name
            _begin_collecting()
            self._settle_ready(engine, EngineState("ready", model, device=device, dtype=dtype))

    def _grant(self, begin: Start, job: Generate | Segment | Unload | CheckDevice) -> None:
        error, trace, lost = None, "", False
        try:
            if isinstance(job, CheckDevice):
                _check_device(begin)
            elif job.call not in self._cancelled:
                self._run_job(self._made(begin), job)
        except InvokeError as expected:
            error = expected
            if isinstance(expected, ModelError):
                models = {request.model for request, _ in job.jobs} if isinstance(job, Generate) else set()
                self._report_unchanged(expected.message, expected.model, models)
        except Exception as unexpected:
            error, trace, lost = _unexpected(unexpected), traceback.format_exc(), _is_lost(unexpected)
        if self._engine is not None:
            _begin_collecting()
        self._cancelled.discard(job.call)
        self._send(Done(job.call, error, trace))
        if lost:
            os._exit(1)  # a new process gets a device that works

    def _run_job(self, engine: "DiffusionEngine", job: Generate | Segment | Unload) -> None:
        match job:
            case Generate(_, jobs):
                models = {request.model for request, _ in jobs}
                granted = engine.generate_batch(jobs)
            case Segment(_, path, text):
                models = set()
                granted = ((0, event) for event in engine.segment(path, text))
            case Unload():
                models = set()
                granted = ((0, event) for event in engine.unload())
        with closing(granted) as events:
            for index, event in events:
                match event:
                    case ModelError(message=message, model=model):
                        self._report_unchanged(message, model, models)
                    case Downloading(model, done, total):
                        how_far = f"{done:.0f} of {total:.0f} MB" if total else "asking the hub"
                        self._report_state(EngineState("downloading", model, how_far))
                    case Loading(model):
                        self._report_state(EngineState("loading", model))
                    case Freed():
                        self._settle(EngineState("failed", detail="the models were unloaded"), ())
                    case Loaded(model, device, dtype):
                        _begin_collecting()
                        ready = EngineState("ready", model, device=device, dtype=dtype)
                        self._settle_ready(engine, ready, own=model in models)
                self._send(Event(job.call, event, index))
                if isinstance(event, DownloadRequired):
                    self._wait_for_consent(job.call)
                if job.call in self._cancelled:
                    if isinstance(event, DownloadRequired | Downloading):
                        why = f"{event.model}: this model is not on this disk yet"
                        self._report_unchanged(why, event.model, models)
                    return

    def _wait_for_consent(self, call: int) -> None:
        with self._answered:
            self._answered.wait_for(lambda: call in self._agreed or call in self._cancelled)
            self._agreed.discard(call)

    def _made(self, begin: Start) -> "DiffusionEngine":
        if self._engine is None:
            self._engine = self._make(self._models, begin.options)
        return self._engine

    def _report_state(self, state: EngineState, in_memory: tuple[str, ...] | None = None) -> None:
        self._send(StateChanged(state, in_memory))

    def _settle(self, state: EngineState, in_memory: tuple[str, ...] | None = None) -> None:
        """`state` holds until something is asked."""
        self._settled = state
        self._report_state(state, in_memory)

    def _settle_ready(self, engine: "DiffusionEngine", ready: EngineState, *, own: bool = True) -> None:
        """`own`: it is the model that lines are made with, not one that is added to it."""
        self._settle(ready if own or self._settled is None else self._settled, engine.in_memory)

    def _report_unchanged(self, why: str, model: str, models: Collection[str]) -> None:
        """`model` could not be had: the one that was ready still is. One of `models` that was not has a new reason."""
        settled = self._settled
        if settled is None or (model in models and settled.status != "ready"):
            settled = EngineState("failed", model, why)
        self._settle(settled)


def _begin_collecting() -> None:
    """Garbage is collected from now on; what is imported and loaded by then stays, and is not looked through again."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _check_device(begin: Start) -> None:
    """Raises EngineError where there is none such. Of the libraries only torch is imported."""
    from invoke.engine.components.devices import choose_placement

    choose_placement(begin.options)


def _unexpected(error: Exception) -> EngineError:
    if says_no_memory(error):
        return EngineError(f"out of memory: {first_line(error)}", code="out_of_memory", hint=MORE_MEMORY)
    return EngineError(
        f"the engine failed: {type(error).__name__}: {first_line(error)}", hint="the log has the details"
    )


def _is_lost(error: Exception) -> bool:
    from invoke.engine.components.devices import is_device_lost

    return is_device_lost(error)

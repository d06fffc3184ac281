"""The engine's own process: reads messages on its standard input and answers on its standard output.

It ends when its input does, so it never outlives the program that started it. With `--warm` it stays instead and waits
for the next program, which gets its own `Worker` with the same engine.
"""

import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, NoReturn

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
    Stay,
    Unload,
)
from invoke.engine.process.openmp import set_environment
from invoke.engine.process.wire import receive
from invoke.errors import MORE_MEMORY, EngineError, InvokeError, ModelError, first_line, says_no_memory
from invoke.events import Downloading, DownloadRequired, EngineState, Freed, Loaded, Loading
from invoke.models import Registry
from invoke.options import EngineOptions
from invoke.processes import own_streams, send

if TYPE_CHECKING:
    from invoke.engine.diffusion_engine import DiffusionEngine
    from invoke.engine.process.warm.waiting import Claim


BEAT = 1.0
"""Seconds between two heartbeats."""
CLEANUP = 30.0
"""Seconds in which an engine that stays must drop the work of a program that has ended."""

Make = Callable[[Registry, EngineOptions], "DiffusionEngine"]


def main() -> None:
    """Run until the input ends. Called in a fresh process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = own_streams()
    set_environment(os.environ)
    spare_imports()
    serve(questions, answers, _diffusion_engine)


def spare_imports() -> None:
    """Speed up importing the libraries: no garbage collection, which takes most of a second, and no peft.

    diffusers imports peft if it is installed, but our LoRAs do not need it. It is kept if diffusers or transformers are
    already imported.
    """
    if "diffusers" not in sys.modules and "transformers" not in sys.modules:
        sys.modules["peft"] = None  # type: ignore[assignment]
    gc.disable()


def serve(questions: BinaryIO, answers: BinaryIO, make: Make) -> NoReturn:
    """Serve one program after another, as long as each leaves an engine that can stay."""
    engine = stay = None
    while True:
        worker = Worker(questions, answers, make, engine, stay)
        worker.run()
        engine, stay = worker.engine, worker.stay
        if engine is None or stay is None or not worker.is_sound:
            os._exit(0)
        found = _next_program(engine, stay, worker.hang_up)
        if found is None:
            os._exit(0)
        questions, answers = found.questions, found.answers


def _next_program(engine: "DiffusionEngine", stay: Stay, hang_up: Callable[[], None]) -> "Claim | None":
    from invoke.engine.process.warm.waiting import Waiting

    engine.forget()
    return Waiting(stay, lambda: engine.in_memory, engine.tidy).run(hang_up)


def _diffusion_engine(models: Registry, options: EngineOptions) -> "DiffusionEngine":
    from invoke.engine.diffusion_engine import DiffusionEngine

    return DiffusionEngine(models, options)


_Ordered = Start | SetModels | Load | Generate | Segment | Unload | CheckDevice
"""Messages that are handled in order."""


class Worker:
    """Handles the messages of one program in order, except Cancel and Confirm, which take effect at once."""

    def __init__(
        self,
        questions: BinaryIO,
        answers: BinaryIO,
        make: Make,
        engine: "DiffusionEngine | None" = None,
        stay: Stay | None = None,
    ) -> None:
        """`make` creates the engine when it is first needed; `engine` is one from an earlier program."""
        self._questions, self._answers, self._make = questions, answers, make
        self._waiting: SimpleQueue[_Ordered | None] = SimpleQueue()
        """None: the program has ended."""
        self._sending = threading.Lock()
        self._cancelled: set[int] = set()
        self._agreed: set[int] = set()
        self._answered = threading.Condition()
        """Notified when a call is cancelled or agreed to."""
        self._settled: EngineState | None = None
        """The last reported state of the main model: ready, or why it is not loaded."""
        self._models = Registry({})
        self._is_gone = False
        """Whether the program has ended: its requests are dropped."""
        self._is_done = threading.Event()
        self._is_handed_on = engine is not None
        self.engine = engine
        self.stay = stay
        self.is_sound = True
        """False after an error that calls for a new engine, such as running out of memory."""

    def run(self) -> None:
        """Handle messages until the program ends; then return if this engine stays, else end the process."""
        threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._beat)]
        for thread in threads:
            thread.start()
        begin = self._waiting.get()
        while not self._is_gone:
            match self._waiting.get():
                case SetModels(models):
                    self._know(models)
                case Load(model):
                    assert isinstance(begin, Start)
                    self._load(begin, model)
                case Generate() | Segment() | Unload() | CheckDevice() as job:
                    assert isinstance(begin, Start)
                    self._grant(begin, job)
        self._is_done.set()
        for thread in threads:
            thread.join()

    def hang_up(self) -> None:
        """Close the streams, which tells the program that this engine has finished with it."""
        for stream in (self._questions, self._answers):
            with suppress(OSError):
                stream.close()

    def _listen(self) -> None:
        while True:
            try:
                question = receive(self._questions)
            except EOFError:
                self._leave()
                return
            if isinstance(question, Start):
                self.stay = question.stay or self.stay
            if isinstance(question, Cancel | Confirm):
                with self._answered:
                    (self._cancelled if isinstance(question, Cancel) else self._agreed).add(question.call)
                    self._answered.notify_all()
            else:
                assert isinstance(question, _Ordered)
                self._waiting.put(question)

    def _leave(self) -> None:
        """The program has ended: end with it, or drop its requests."""
        if self.stay is None:
            os._exit(0)  # without finishing the current step, which nobody needs
        with self._answered:
            self._is_gone = True
            self._answered.notify_all()
        self._waiting.put(None)
        if not self._is_done.wait(CLEANUP):
            os._exit(1)

    def _beat(self) -> None:
        """Send heartbeats, which show that this process is not frozen."""
        while not self._is_done.wait(BEAT):
            self._send(Beat())

    def _send(self, answer: Answer) -> None:
        with self._sending, suppress(OSError, ValueError):  # the program has ended: `_listen` handles it
            send(self._answers, answer)

    def _know(self, models: Registry) -> None:
        self._models = models
        if self.engine is not None:
            self.engine.set_models(models)
            if self._is_handed_on:
                self._is_handed_on = False
                self.engine.drop_changed()

    def _load(self, begin: Start, model: str) -> None:
        self._report_state(EngineState("loading", model))
        try:
            engine = self._made(begin)
            engine.load(model)
        except Exception as error:  # the next request raises it again, and reports it
            self._judge(error)
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
            self._judge(expected)
            if isinstance(expected, ModelError):
                models = {request.model for request, _ in job.jobs} if isinstance(job, Generate) else set()
                self._report_unchanged(expected.message, expected.model, models)
        except Exception as unexpected:
            self._judge(unexpected)
            error, trace, lost = _unexpected(unexpected), traceback.format_exc(), _is_lost(unexpected)
        if self.engine is not None:
            _begin_collecting()
        self._cancelled.discard(job.call)
        self._send(Done(job.call, error, trace))
        if lost:
            os._exit(1)  # a new process can use the device again

    def _send_event(self, answer: Event) -> None:
        if isinstance(answer.event, InvokeError):
            self._judge(answer.event)
        self._send(answer)

    def _judge(self, error: Exception) -> None:
        """Decide whether the engine can stay: not after running out of memory or an unexpected error."""
        if not isinstance(error, InvokeError) or error.code == "out_of_memory":
            self.is_sound = False

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
                self._send_event(Event(job.call, event, index))
                if isinstance(event, DownloadRequired):
                    self._wait_for_consent(job.call)
                if self._is_gone or job.call in self._cancelled:
                    if isinstance(event, DownloadRequired | Downloading):
                        why = f"{event.model}: this model is not on this disk yet"
                        self._report_unchanged(why, event.model, models)
                    return

    def _wait_for_consent(self, call: int) -> None:
        with self._answered:
            self._answered.wait_for(lambda: call in self._agreed or call in self._cancelled or self._is_gone)
            self._agreed.discard(call)

    def _made(self, begin: Start) -> "DiffusionEngine":
        if self.engine is None:
            self.engine = self._make(self._models, begin.options)
            gc.freeze()  # exempts all imports: libraries trigger collections while they load
        return self.engine

    def _report_state(self, state: EngineState, in_memory: tuple[str, ...] | None = None) -> None:
        self._send(StateChanged(state, in_memory))

    def _settle(self, state: EngineState, in_memory: tuple[str, ...] | None = None) -> None:
        """Report `state` and keep it as the idle state."""
        self._settled = state
        self._report_state(state, in_memory)

    def _settle_ready(self, engine: "DiffusionEngine", ready: EngineState, *, own: bool = True) -> None:
        """Report a loaded model. `own`: it is the main model, not an additional one such as a ControlNet."""
        self._settle(ready if own or self._settled is None else self._settled, engine.in_memory)

    def _report_unchanged(self, why: str, model: str, models: Collection[str]) -> None:
        """`model` could not be loaded: report the idle state again.

        If `model` is one of the requests' main `models` and none was ready, the state becomes failed, with `why`.
        """
        settled = self._settled
        if settled is None or (model in models and settled.status != "ready"):
            settled = EngineState("failed", model, why)
        self._settle(settled)


def _begin_collecting() -> None:
    """Enable garbage collection, and exempt everything that is imported and loaded so far."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _check_device(begin: Start) -> None:
    """Raise EngineError if the device does not exist. Imports only torch."""
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

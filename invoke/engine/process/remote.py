"""RemoteEngine: runs the engine in a separate process; used by the shell and by batches."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from signal import Signals
from typing import IO, TYPE_CHECKING

from invoke import signals
from invoke.engine import Job
from invoke.engine.process.messages import (
    Beat,
    Cancel,
    CheckDevice,
    Confirm,
    Done,
    Event,
    Generate,
    Load,
    Question,
    Segment,
    SetModels,
    Start,
    StateChanged,
    Stay,
    Unload,
)
from invoke.engine.process.retry import ATTEMPTS, EngineDiedError, again, retried
from invoke.engine.process.wire import receive
from invoke.errors import MORE_MEMORY, EngineError, InvokeError, says_no_memory
from invoke.events import (
    NO_PREVIEWS,
    DownloadRequired,
    EngineEvent,
    EngineState,
    Freed,
    Note,
    Previews,
    Started,
    Step,
    single,
)
from invoke.models import Registry
from invoke.options import EngineOptions
from invoke.processes import UNKNOWN, send, start_child
from invoke.request import Request

if TYPE_CHECKING:
    from invoke.engine.process.warm.finding import WarmEngine
    from invoke.engine.process.warm.fit import Fit

BACKLOG = 64
"""Answers buffered for a slow reader; then the worker waits."""
PATIENCE = 2.0
"""Seconds that a worker gets to end by itself before it is killed."""
SILENCE = 60.0
"""Seconds without any message after which an engine counts as frozen."""
PARTING = 0.5
"""Seconds in which a warm engine can report that it is ready for the next program."""
SLICE = 0.5
"""Seconds between two checks of the process while waiting."""
LAST_WORDS = 8000
"""Bytes at the end of a dead worker's standard error that are logged."""
_log = logging.getLogger(__name__)


class RemoteEngine:
    """An `Engine` in a process that is started when first needed, and restarted if it dies."""

    def __init__(  # noqa: PLR0913 - all but the first two by keyword
        self,
        models: Registry,
        options: EngineOptions | None = None,
        *,
        attempts: int = ATTEMPTS,
        patience: float = SILENCE,
        module: str = "invoke.engine.process.worker",
        warmth: float | None = None,
    ) -> None:
        """A picture is tried with up to `attempts` engines. One that is silent for `patience` seconds is replaced.
        `module` is the main module of its process. `warmth`: use a waiting warm engine if there is one, and let this
        one wait for that many seconds afterwards (0: leave its waiting time unchanged); None: neither."""
        self._models = models
        self._options = options or EngineOptions()
        self._warmth = warmth
        self._attempts, self._patience, self._module = attempts, patience, module
        self._process: EngineProcess | None = None
        self._calls = itertools.count(1)
        self._starting = threading.RLock()
        """Held while the process is started or ended, because several threads may do so."""

    @property
    def state(self) -> EngineState:
        """See `Engine.state`."""
        return self._process.state if self._process else EngineState("not started")

    @property
    def in_memory(self) -> tuple[str, ...]:
        """See `Engine.in_memory`; updated whenever a model has been loaded or unloaded."""
        return self._process.in_memory if self._process else ()

    def place(self, model: str) -> tuple[str, str] | None:
        """Load `model` and wait for it; returns its device and precision, or None if it cannot be loaded."""
        self.load(model)
        process = self._running()
        while (state := process.state).is_busy:
            signals.check()
            process.refuse_silence(self._patience, SLICE)
            process.wait_for_change(state, SLICE)
        return (state.device, state.dtype) if state.status == "ready" else None

    def generate(self, request: Request, *, previews: Previews = NO_PREVIEWS) -> Generator[EngineEvent, None, None]:
        """See `Engine.generate`. Closing it returns at once; the current step finishes in the background."""
        return single(self.generate_batch([(request, previews)]))

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        """See `Engine.generate_batch`; the next picture is drawn while the events of the current one are read."""
        return retried(lambda left: self._events(Generate(next(self._calls), tuple(left))), jobs, self._attempts)

    def segment(self, path: str, text: str) -> Generator[EngineEvent, None, None]:
        """See `Engine.segment`."""
        return single(again(lambda: self._events(Segment(next(self._calls), path, text)), self._attempts))

    def unload(self) -> Generator[EngineEvent, None, None]:
        """See `Engine.unload`; takes effect after the engine's current work."""
        if self._process is None or not self._process.alive:
            yield Freed("cpu", 0, 0)
        else:
            freed: Generator[EngineEvent, None, None] = single(self._events(Unload(next(self._calls))))
            yield from freed

    def check_device(self) -> None:
        """Wait for a check that the requested device exists. Raises EngineError if it does not."""
        for _ in again(lambda: self._events(CheckDevice(next(self._calls))), self._attempts):
            pass

    def _events(
        self, job: Generate | Segment | Unload | CheckDevice
    ) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        call, process = job.call, self._running()
        answers, ended = process.expect(call), False
        pace = Pace(self._patience)
        try:
            process.send(job)
            while True:
                try:
                    answer = signals.get(answers, SLICE)
                except queue.Empty:
                    is_ended = process.refuse_silence(self._patience)
                    if not is_ended and pace.is_slow():
                        yield pace.index, Note(f"no step for {pace.waited:.0f} s; Ctrl-C ends the wait")
                    continue
                match answer:
                    case Event(_, event, index):
                        pace.see(index, event)
                        yield index, event
                        if isinstance(event, DownloadRequired):
                            process.send(Confirm(call))
                    case Done(_, error, traceback):
                        ended = True
                        if traceback:
                            _log.error("the engine failed\n%s", traceback)
                        if error:
                            raise error
                        return
                    case None:
                        ended = True
                        raise process.why_it_ended()
        finally:
            process.forget(call)
            if not ended:
                process.send(Cancel(call))

    def load(self, model: str) -> None:
        """Start loading `model` and return at once. Raises ModelError if no model has this name."""
        spec, process = self._models.find(model), self._running()
        if process.state.status != "starting":
            process.change(EngineState("loading", spec.name))  # do not wait for the worker to report it
        process.send(Load(model))

    @property
    def fit(self) -> Fit:
        """The fit that a warm engine must have to be used by this program."""
        from invoke.engine.process.warm.fit import read_fit

        return read_fit(self._options, self._module)

    def set_models(self, models: Registry) -> None:
        """See `Engine.set_models`."""
        self._models = models
        if self._process:
            self._process.send(SetModels(models))

    def kill(self) -> None:
        """Abort the current work. The next request starts a new process."""
        if self._process:
            self._process.kill()

    def close(self) -> None:
        with self._starting:
            if self._process:
                self._process.close()
                self._process = None

    def _running(self) -> EngineProcess:
        with self._starting:
            if self._process is None or not self._process.alive:
                self.close()
                self._process = EngineProcess(self._options, self._models, self._module, self._warmth)
            return self._process


Answers = queue.Queue[Event | Done | None]
"""The answers to one call; None: the process died."""


class EngineProcess:
    """A running engine process; a thread dispatches its answers, so that `state` is always up to date."""

    def __init__(self, options: EngineOptions, models: Registry, module: str, warmth: float | None = None) -> None:
        self.state = EngineState("starting")
        self._changed = threading.Condition()
        self.in_memory: tuple[str, ...] = ()
        self._answers: dict[int, Answers] = {}
        self._dead = False
        self._sorting = threading.Lock()
        self._outbox: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._received = self._received_before = 0
        """Number of messages received, now and at the last check."""
        self._silence = 0.0
        self._last_words = ""
        self._is_ended_by_us = self._is_frozen = self._is_parting = False
        self._errors = _unnamed_file()
        stay = _stay(options, module, warmth)
        claimed = _claimed(stay, self._errors)
        self._stays = claimed is not None or (stay is not None and stay.seconds > 0)
        """Whether it outlives this program (`--warm`)."""
        self._popen = claimed or _started(module, self._errors, options)
        threading.Thread(target=self._write, name="engine questions", daemon=True).start()
        self._reader = threading.Thread(target=self._read, name="engine answers", daemon=True)
        self._reader.start()
        self.send(Start(options, stay if stay is not None and stay.seconds else None))
        self.send(SetModels(models))

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def send(self, question: Question) -> None:
        """Queue a message and return at once. If the process has died, all pending calls get None."""
        self._outbox.put(question)

    def change(self, state: EngineState) -> None:
        with self._changed:
            self.state = state
            self._changed.notify_all()

    def wait_for_change(self, state: EngineState, seconds: float) -> None:
        """Wait at most `seconds` until the state differs from `state`."""
        with self._changed:
            self._changed.wait_for(lambda: self.state != state, seconds)

    def refuse_silence(self, patience: float, passed: float = SLICE) -> bool:
        """Kill the process if it has sent nothing for `patience` seconds, not even a heartbeat; returns whether it did.

        Called every `passed` seconds; time in which this program itself was suspended does not count. All pending calls
        then get None.
        """
        received = self._received
        self._silence = 0.0 if received != self._received_before else self._silence + passed
        self._received_before = received
        if self._silence > patience and not self._is_frozen:
            self._is_frozen = True
            self._popen.kill()
        return self._is_frozen

    def expect(self, call: int) -> Answers:
        """A queue for the answers to `call`."""
        answers: Answers = queue.Queue(BACKLOG)
        with self._sorting:
            self._answers[call] = answers
            if self._dead:
                answers.put(None)
        return answers

    def forget(self, call: int) -> None:
        """Drop all further answers to `call`."""
        with self._sorting:
            answers = self._answers.pop(call, None)
        if answers is not None:
            _make_room(answers)  # the reading thread may be waiting for room

    def kill(self) -> None:
        self._is_ended_by_us = True
        self._popen.kill()
        self.close()

    def close(self) -> None:
        """Close the worker's input, which ends it; the reading thread then closes the streams and ends, too.

        A warm engine does not end: this only waits briefly until it is ready for the next program.
        """
        self._outbox.put(None)
        if self._stays and not self._is_ended_by_us and not self._is_frozen and self.alive:
            self._is_parting = True
            self._drop_answers()
            self._reader.join(PARTING)
            self._popen.returncode = 0
            return
        try:
            self._popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._reader.join(PATIENCE)
        if self._reader.is_alive():  # it waits for room in a queue that is not read any more
            self._drop_answers()
            self._reader.join(PATIENCE)

    def _drop_answers(self) -> None:
        """Drop all further answers."""
        with self._sorting:
            unread = list(self._answers.values())
            self._answers.clear()
        for answers in unread:
            _make_room(answers)

    def why_it_ended(self) -> EngineError:
        """The error to raise: an EngineDiedError if a new engine may succeed."""
        if says_no_memory(self._last_words):
            return EngineError("out of memory: the engine had to stop", code="out_of_memory", hint=MORE_MEMORY)
        if self._is_ended_by_us:
            return EngineError(f"the engine process died ({self._how_it_ended()})", code=EngineDiedError.code)
        if self._is_frozen:
            return EngineDiedError(f"the engine was silent for {self._silence:.0f} s and was stopped")
        return EngineDiedError(
            f"the engine process died ({self._how_it_ended()})", hint="the next line starts a new one"
        )

    def _how_it_ended(self) -> str:
        code = self._popen.wait(PATIENCE)
        if code == UNKNOWN:
            return "a warm engine, exit status unknown"
        return f"killed by {Signals(-code).name}" if code < 0 else f"exit status {code}"

    def _write(self) -> None:
        """Send queued messages, in a thread of its own, because a suspended process does not read."""
        questions = _pipe(self._popen.stdin)
        while (question := self._outbox.get()) is not None:
            try:
                send(questions, question)
            except (OSError, ValueError):
                _log.info("the engine process no longer listens")
        _close(questions)

    def _read(self) -> None:
        answers = _pipe(self._popen.stdout)
        try:
            while True:
                answer = receive(answers)
                self._received += 1
                if not isinstance(answer, Beat):
                    self._sort(answer)
        except EOFError:
            code = self._how_far_gone()
        self.change(EngineState("stopped"))
        _close(answers)
        if self._errors is not None:
            self._last_words = _end_of(self._errors)
            self._errors.close()
        self._outbox.put(None)
        if code:
            _log.error("the engine process died (%s)\n%s", self._how_it_ended(), self._last_words)
        with self._sorting:
            self._dead = True
            waiting = list(self._answers.values())
        for call in waiting:
            call.put(None)

    def _how_far_gone(self) -> int:
        """The exit status of a process that has closed its output; 0 if it only waits for the next program."""
        if self._is_parting:
            return 0
        if not self._stays:
            return self._popen.wait()
        try:
            return self._popen.wait(PARTING)
        except subprocess.TimeoutExpired:
            self._popen.returncode = 0
            return 0

    def _sort(self, answer: object) -> None:
        if isinstance(answer, StateChanged):
            self.change(answer.state)
            self.in_memory = self.in_memory if answer.in_memory is None else answer.in_memory
            return
        assert isinstance(answer, Event | Done)
        with self._sorting:
            expected = self._answers.get(answer.call)
        if expected is not None:
            expected.put(answer)


class Pace:
    """Measures the steps of a picture, and notices one that takes far longer than usual."""

    def __init__(self, patience: float) -> None:
        self.index = 0
        """The index of the picture with the latest event."""
        self.waited = 0.0
        self._patience = patience
        self._steps, self._seconds = 0, 0.0
        self._is_drawing = self._is_reported = False

    def see(self, index: int, event: EngineEvent | InvokeError) -> None:
        if isinstance(event, Step):
            self._steps, self._seconds = self._steps + 1, self._seconds + self.waited
        self._is_drawing = isinstance(event, Started | Step)
        self.index, self.waited, self._is_reported = index, 0.0, False

    def is_slow(self) -> bool:
        """Call after each SLICE of waiting: true once per long pause in the middle of a picture."""
        self.waited += SLICE
        usual = self._seconds / self._steps if self._steps else 0.0
        if self._is_reported or not self._is_drawing or self.waited <= max(self._patience, 20 * usual):
            return False
        self._is_reported = True
        return True


def _stay(options: EngineOptions, module: str, warmth: float | None) -> Stay | None:
    """The Stay for a new engine; None if warm engines are not wanted, not supported, or not needed."""
    if warmth is None:
        return None
    from invoke.engine.process.warm.fit import read_fit
    from invoke.engine.process.warm.socket_folder import IS_SUPPORTED, is_any_waiting

    if not IS_SUPPORTED or (warmth == 0 and not is_any_waiting()):
        return None
    return Stay(warmth, read_fit(options, module))


def _claimed(stay: Stay | None, errors: IO[bytes] | None) -> WarmEngine | None:
    if stay is None or errors is None:
        return None
    from invoke.engine.process.warm.finding import claim

    return claim(stay.fit, errors.fileno())


def _started(module: str, errors: IO[bytes] | None, options: EngineOptions) -> subprocess.Popen[bytes]:
    popen = start_child(module, subprocess.DEVNULL if errors is None else errors)
    if options.nice:
        with suppress(OSError):  # set before it starts threads, which inherit it
            os.setpriority(os.PRIO_PROCESS, popen.pid, options.nice)
    return popen


def _unnamed_file() -> IO[bytes] | None:
    """An unnamed file for a process's standard error; None if none can be created."""
    if hasattr(os, "memfd_create"):
        with suppress(OSError):
            return os.fdopen(os.memfd_create("engine errors", os.MFD_CLOEXEC), "w+b")
    with suppress(OSError):
        return tempfile.TemporaryFile()
    return None


def _end_of(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - LAST_WORDS))
    return file.read().decode("utf-8", "replace")


def _make_room(answers: Answers) -> None:
    with suppress(queue.Empty):
        while True:
            answers.get_nowait()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except OSError:
        _log.debug("the pipe was broken already")

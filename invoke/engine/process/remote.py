"""RemoteEngine: the engine in a process of its own, as the shell and the batch see it."""

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
from time import sleep
from typing import IO

from invoke.engine import Job
from invoke.engine.process.messages import (
    STARTING,
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
    State,
    Unload,
)
from invoke.errors import EngineError, InvokeError
from invoke.events import NO_PREVIEWS, DownloadRequired, EngineEvent, Freed, Previews, single
from invoke.models import Registry
from invoke.options import EngineOptions
from invoke.processes import receive, send, start_child
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
        self._starting = threading.RLock()
        """Held while the process is started or ended: several threads may ask at once."""

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
        return single(self.generate_batch([(request, previews)]))

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        """See `Engine.generate_batch`; the next picture is drawn while the events of this one are read."""
        return self._told(Generate(next(self._calls), tuple(jobs)))

    def segment(self, path: str, text: str) -> Generator[EngineEvent, None, None]:
        """See `Engine.look`."""
        return single(self._told(Segment(next(self._calls), path, text)))

    def unload(self) -> Generator[EngineEvent, None, None]:
        """See `Engine.free`; behind what the engine is busy with."""
        if self._process is None or not self._process.alive:
            yield Freed("cpu", 0, 0)
        else:
            freed: Generator[EngineEvent, None, None] = single(self._told(Unload(next(self._calls))))
            yield from freed

    def check_device(self) -> None:
        """Wait until it is known whether the device that is asked for is there. Raises EngineError if it is not."""
        for _ in self._told(CheckDevice(next(self._calls))):
            pass

    def _told(
        self, job: Generate | Segment | Unload | CheckDevice
    ) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        call, process = job.call, self._running()
        answers, ended = process.expect(call), False
        try:
            process.send(job)
            while True:
                match answers.get():
                    case Event(_, event, index):
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
                    case Interrupted():
                        raise KeyboardInterrupt
                    case None:
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

    def set_models(self, models: Registry) -> None:
        """The models that can be named from now on."""
        self._models = models
        if self._process:
            self._process.send(SetModels(models))

    def interrupt(self) -> None:
        """See `Engine.interrupt`."""
        if self._process:
            self._process.interrupt()

    def kill(self) -> None:
        """Abandon whatever is going on. The next request starts a new process."""
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
                self._process = EngineProcess(self._options, self._models)
            return self._process


BACKLOG = 64
"""Answers kept for a reader who is slow; then the worker waits."""
PATIENCE = 2.0
"""Seconds that a worker gets to end by itself."""
LAST_WORDS = 8000
"""Bytes of a dead worker's standard error that go to the log."""


class Interrupted:
    """Put among the answers to a call: nobody wants to wait for more of them."""


Answers = queue.Queue[Event | Done | Interrupted | None]
"""Of one call; None: the process died."""


class EngineProcess:
    """Started at once; a thread sorts its answers, so that `state` is always up to date."""

    def __init__(self, options: EngineOptions, models: Registry) -> None:
        self.state = State(STARTING)
        self.in_memory: tuple[str, ...] = ()
        self._answers: dict[int, Answers] = {}
        self._dead = False
        self._sorting, self._sending = threading.Lock(), threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self._popen = start_child("invoke.engine.process.worker", self._errors)
        if options.nice:
            with suppress(OSError):  # before it has any other thread
                os.setpriority(os.PRIO_PROCESS, self._popen.pid, options.nice)
        self._reader = threading.Thread(target=self._read, name="engine answers", daemon=True)
        self._reader.start()
        self.send(Start(options))
        self.send(SetModels(models))

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def send(self, question: Question) -> None:
        """Ask. When the process has died, those who expect answers are told so."""
        try:
            with self._sending:
                send(_pipe(self._popen.stdin), question)
        except (OSError, ValueError):
            _log.info("the engine process no longer listens")

    def expect(self, call: int) -> Answers:
        """Where the answers to `call` arrive."""
        answers: Answers = queue.Queue(BACKLOG)
        with self._sorting:
            self._answers[call] = answers
            if self._dead:
                answers.put(None)
        return answers

    def interrupt(self) -> None:
        """End the waiting for answers; who has some to read does not wait."""
        with self._sorting:
            for answers in self._answers.values():
                with suppress(queue.Full):
                    answers.put_nowait(Interrupted())

    def forget(self, call: int) -> None:
        """Drop what is still answered to `call`."""
        with self._sorting:
            answers = self._answers.pop(call, None)
        if answers is not None:
            _make_room(answers)  # the thread may be waiting for it

    def kill(self) -> None:
        self._popen.kill()
        self.close()

    def close(self) -> None:
        """The worker ends when its input does; the thread that reads its answers closes what is open, and ends too."""
        with self._sending:
            _close(_pipe(self._popen.stdin))
        try:
            self._popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._reader.join(PATIENCE)
        if self._reader.is_alive():  # it waits for room among answers that nobody reads any more
            with self._sorting:
                unread = list(self._answers.values())
            for answers in unread:
                _make_room(answers)
            self._reader.join(PATIENCE)

    def how_it_ended(self) -> str:
        code = self._popen.wait(PATIENCE)
        return f"killed by {Signals(-code).name}" if code < 0 else f"exit status {code}"

    def _read(self) -> None:
        answers = _pipe(self._popen.stdout)
        try:
            while True:
                self._sort(receive(answers))
        except EOFError:
            code = self._popen.wait()
        self.state = State("stopped")
        _close(answers)
        if code:
            _log.error("the engine process died (%s)\n%s", self.how_it_ended(), self._last_words())
        self._errors.close()
        with self._sorting:
            self._dead = True
            waiting = list(self._answers.values())
        for call in waiting:
            call.put(None)

    def _sort(self, answer: object) -> None:
        if isinstance(answer, State):
            self.state = answer
            self.in_memory = self.in_memory if answer.in_memory is None else answer.in_memory
            return
        assert isinstance(answer, Event | Done)
        with self._sorting:
            expected = self._answers.get(answer.call)
        if expected is not None:
            expected.put(answer)

    def _last_words(self) -> str:
        size = self._errors.seek(0, 2)
        self._errors.seek(max(0, size - LAST_WORDS))
        return self._errors.read().decode("utf-8", "replace")


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

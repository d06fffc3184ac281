"""The process beside an engine: renders tasks, adds metadata, encodes. No torch: the engine is another process."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from queue import SimpleQueue
from time import monotonic
from typing import BinaryIO, Protocol

from invoke.engine import Job
from invoke.engine.process.remote import RemoteEngine
from invoke.errors import EngineError, InvokeError, ModelError
from invoke.events import Downloading, DownloadRequired, EngineEvent, EngineState, Finished, Loaded, Loading, Note, Step
from invoke.models import Registry
from invoke.models.hub.consent import not_allowed
from invoke.options import EngineOptions
from invoke.outputs.encoded import EncodedFile
from invoke.outputs.speeds import Stopwatch
from invoke.processes import own_streams, receive, send
from invoke.versions import versions
from invoke.workers.messages import Died, Ended, Gone, Happened, Hello, Up
from invoke.workers.task import EncodedPicture, PictureEncoder, Task

log = logging.getLogger(__name__)

STEP_PAUSE = 0.25
"""Minimum seconds between two steps that are sent on."""
STARTS = 3
"""Number of engine deaths, while the first model loads, after which the lane fails."""
DIED = "engine_died"
"""Error code for an engine process that died."""
NETWORKS = ("model", "vae", "ControlNet ", "IP-Adapter ")
"""Prefixes of networks' names in `RunInfo.hashes`."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The configuration of a worker."""

    options: EngineOptions
    models: Registry
    model: str
    """The model to load first."""
    downloads: bool = False
    """Whether models may be downloaded without asking."""


@dataclass(frozen=True, slots=True)
class Give:
    """Tasks for a worker process; its messages about them carry the same `call`."""

    call: int
    tasks: tuple[Task, ...]


class HostedEngine(Protocol):
    """The interface of an engine that a host uses."""

    @property
    def state(self) -> EngineState: ...

    def place(self, model: str) -> tuple[str, str] | None:
        """Load `model`; return its device and precision, or None if it cannot be loaded."""
        ...

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]: ...

    def kill(self) -> None: ...


class Host:
    """Makes the tasks of one lane on `engine`."""

    def __init__(self, engine: HostedEngine, setup: Setup) -> None:
        self._engine = engine
        self._setup = setup

    def hello(self) -> Hello:
        """Load the first model and describe this lane. Raises ModelError if it cannot be loaded.

        A model that must be downloaded is loaded with the first picture. An engine that dies is restarted; raises
        EngineError if that does not help.
        """
        place, deaths = self._engine.place(self._setup.model), 0
        while place is None and self._engine.state.status == "stopped":
            deaths += 1
            if deaths == STARTS:
                raise EngineError(f"its engine died {STARTS} times while it loaded {self._setup.model}", code=DIED)
            place = self._engine.place(self._setup.model)
        if place is None and not self._setup.downloads:
            raise ModelError(self._engine.state.detail)
        device, dtype = place or ("", "")
        threads = self._setup.options.threads if device == "cpu" else 0
        return Hello(socket.gethostname(), os.getpid(), device, dtype, threads, versions())

    def run(self, call: int, tasks: Sequence[Task]) -> Iterator[Happened | Ended | Died]:
        """Make `tasks`; the last message is Ended or Died."""
        pictures = [_Picture(call, index, task) for index, task in enumerate(tasks)]
        watch = Stopwatch()
        try:
            with closing(self._engine.generate_batch([(task.request, task.previews) for task in tasks])) as events:
                for index, event in events:
                    if isinstance(event, InvokeError):
                        yield pictures[index].fail(event)
                        continue
                    if isinstance(event, DownloadRequired) and not self._setup.downloads:
                        raise not_allowed(event)
                    watch.see(event)
                    yield from pictures[index].see(event)
        except InvokeError as error:  # none of them can continue
            if error.code == DIED:
                yield Died(call, error.message.partition("(")[2].removesuffix(")") or error.message)
                return
            yield from (picture.fail(error) for picture in pictures if not picture.is_over)
        yield Ended(call, watch.speed())

    def close(self) -> None:
        """End the engine, whatever it is doing."""
        self._engine.kill()


class _Picture:
    """One of the tasks of a call, and the messages about it."""

    def __init__(self, call: int, index: int, task: Task) -> None:
        self._call, self._index, self._task = call, index, task
        self._encoder = PictureEncoder(task)
        self._files: list[EncodedFile] = []
        self._shown = monotonic()
        self.is_over = False

    def see(self, event: EngineEvent) -> Iterator[Happened]:
        self._files += self._encoder.encode(event)
        match event:
            case Finished():
                self.is_over = True
                weights = {name: sha256 for name, sha256 in event.facts.hashes.items() if name.startswith(NETWORKS)}
                yield self._happened(EncodedPicture(tuple(self._files), weights))
            case Step() if monotonic() - self._shown >= STEP_PAUSE:
                self._shown = monotonic()
                yield self._happened(replace(event, image=None))
            case Loading() | Loaded() | Downloading() | DownloadRequired() | Note():
                yield self._happened(event)

    def fail(self, error: InvokeError) -> Happened:
        self.is_over = True
        for path, original in self._task.paths.items():
            error.message = error.message.replace(path, original)
        return self._happened(error)

    def _happened(self, event: EngineEvent | EncodedPicture | InvokeError) -> Happened:
        return Happened(self._call, self._index, event)


def main() -> None:
    """Run until the input ends. Called in a fresh process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process decides when this one ends
    questions, answers = own_streams()
    setup = receive(questions)
    assert isinstance(setup, Setup)
    serve(Host(remote_engine(setup), setup), questions, answers)


def remote_engine(setup: Setup) -> RemoteEngine:
    """The engine process of a lane: one that dies is not tried again here, but wherever the scheduler says."""
    return RemoteEngine(setup.models, setup.options, attempts=1)


def serve(host: Host, questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer messages from `questions` until it ends; then the process ends."""
    given: SimpleQueue[Give] = SimpleQueue()

    def listen() -> None:
        try:
            while True:
                message = receive(questions)
                assert isinstance(message, Give)
                given.put(message)
        except EOFError:
            host.close()
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    try:
        send(answers, Up(host.hello()))
    except InvokeError as error:
        send(answers, Gone(error.message))
        host.close()
        return
    while True:
        give = given.get()
        for message in host.run(give.call, give.tasks):
            send(answers, message)

"""EngineProcess: one worker process, seen from the shell's side."""

import logging
import queue
import subprocess
import tempfile
import threading
from contextlib import suppress
from signal import Signals
from typing import IO

from invoke.engine.child import start_child
from invoke.engine.messages import STARTING, Begin, Ended, Know, Question, State, Told, receive, send
from invoke.engine.options import EngineOptions
from invoke.models import Registry


BACKLOG = 64
"""Answers kept for a reader who is slow; then the worker waits."""
PATIENCE = 2.0
"""Seconds that a worker gets to end by itself."""
LAST_WORDS = 8000
"""Bytes of a dead worker's standard error that go to the log."""

Answers = queue.Queue[Told | Ended | None]
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
        self._popen = start_child("invoke.engine.worker", self._errors)
        self._reader = threading.Thread(target=self._read, name="engine answers", daemon=True)
        self._reader.start()
        self.send(Begin(options))
        self.send(Know(models))

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
        assert isinstance(answer, Told | Ended)
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

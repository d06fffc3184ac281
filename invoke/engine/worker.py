"""The engine's own process: reads questions on its standard input, answers on its standard output.

It ends when its input does, so it never outlives the shell, however that ended.
"""

import os
import signal
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO

from invoke.engine.messages import Begin, Cancel, Draw, Ended, Load, State, Told, receive, send
from invoke.errors import EngineError, InvokeError, ModelError
from invoke.events import Loaded, Loading
from invoke.models import ModelSpec

if TYPE_CHECKING:
    from invoke.engine.diffusion import DiffusionEngine

ENVIRONMENT = {
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


def main() -> None:
    """Run until the input ends. Called in a fresh process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = _own_streams()
    os.environ.update(ENVIRONMENT)
    # threads that wait for each other sleep: spinning, they take 3 to 30 times as long where another program computes
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    Worker(questions, answers).run()


class ToldModels:
    """The models that questions came with: names were looked up where the user types."""

    def __init__(self) -> None:
        self._specs: dict[str, ModelSpec] = {}

    def tell(self, name: str, spec: ModelSpec) -> None:
        self._specs[name] = spec

    def find(self, name: str) -> ModelSpec:
        return self._specs[name]


class Worker:
    """Answers questions one after another; only a Cancel overtakes."""

    def __init__(self, questions: BinaryIO, answers: BinaryIO) -> None:
        self._questions, self._answers = questions, answers
        self._waiting: SimpleQueue[Begin | Load | Draw] = SimpleQueue()
        self._cancelled: set[int] = set()
        self._models = ToldModels()
        self._engine: DiffusionEngine | None = None

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        begin = self._waiting.get()
        assert isinstance(begin, Begin)
        while True:
            match self._waiting.get():
                case Load(spec):
                    self._load(begin, spec)
                case Draw() as draw:
                    self._draw(begin, draw)

    def _listen(self) -> None:
        while True:
            try:
                question = receive(self._questions)
            except EOFError:
                os._exit(0)  # the shell is gone; the step that is running serves nobody
            if isinstance(question, Cancel):
                self._cancelled.add(question.call)
            else:
                assert isinstance(question, Begin | Load | Draw)
                self._waiting.put(question)

    def _load(self, begin: Begin, spec: ModelSpec) -> None:
        self._models.tell(spec.name, spec)
        self._say(f"loading {spec.name}")
        try:
            engine = self._made(begin)
            engine.load(spec.name)
        except Exception as error:  # the next Draw meets it again, and tells it
            self._say(f"not loaded: {error.message if isinstance(error, InvokeError) else spec.name}")
        else:
            self._say_ready(spec.name, engine.place.device_name, engine.place.dtype_name)

    def _draw(self, begin: Begin, draw: Draw) -> None:
        error, trace, lost = None, "", False
        try:
            if draw.call not in self._cancelled:
                self._tell(self._made(begin), draw)
        except InvokeError as known:
            error = known
            if isinstance(known, ModelError):
                self._say(f"not loaded: {known.message}")
        except Exception as unknown:
            error, trace, lost = _unexpected(unknown), traceback.format_exc(), _is_lost(unknown)
        self._cancelled.discard(draw.call)
        send(self._answers, Ended(draw.call, error, trace))
        if lost:
            os._exit(1)  # a new process gets a device that works

    def _tell(self, engine: "DiffusionEngine", draw: Draw) -> None:
        self._models.tell(draw.request.model, draw.spec)
        for event in engine.generate(draw.request, preview_every=draw.preview_every):
            if isinstance(event, Loading):
                self._say(f"loading {event.model}")
            elif isinstance(event, Loaded):
                self._say_ready(event.model, event.device, event.dtype)
            send(self._answers, Told(draw.call, event))
            if draw.call in self._cancelled:
                return

    def _made(self, begin: Begin) -> "DiffusionEngine":
        if self._engine is None:
            from invoke.engine.diffusion import DiffusionEngine

            self._engine = DiffusionEngine(self._models, begin.options)
        return self._engine

    def _say(self, state: str) -> None:
        send(self._answers, State(state))

    def _say_ready(self, model: str, device: str, dtype: str) -> None:
        send(self._answers, State(f"ready: {model} on {device} {dtype}", device, dtype))


def _unexpected(error: Exception) -> EngineError:
    first = (str(error).strip().splitlines() or ["no reason given"])[0]
    return EngineError(f"the engine failed: {type(error).__name__}: {first}", hint="the log has the details")


def _is_lost(error: Exception) -> bool:
    from invoke.engine.devices import is_device_lost

    return is_device_lost(error)


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output under other numbers: what libraries print goes to standard error, a log."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return questions, answers

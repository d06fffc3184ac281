"""An engine process with the test engine, which needs no torch. The prompt decides what happens at the first step:

`dies` kills the process, `dies until N` as long as fewer than N have died so, `freezes` stops it (once), `breaks` fails
for no known reason, `slow` takes 0.02 s a step, `reports` writes where it finds itself to the file `report`. What has
happened is counted in the folder that INVOKE_FAULTS names.
"""

import json
import os
import re
import signal
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from invoke.engine.process.remote import RemoteEngine
from invoke.engine.process.worker import serve
from invoke.events import EngineEvent, Note, Previews, Step
from invoke.models import Registry
from invoke.options import EngineOptions
from invoke.processes import own_streams
from invoke.request import Request
from tests.fakes import FakeEngine
from tests.patience import until


class Faulty(FakeEngine):
    """Follows the instructions in the prompts."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._prompt = ""

    def draw(self, request: Request, previews: Previews) -> Generator[EngineEvent, None, None]:
        self._prompt = request.prompt
        self.pause = 0.02 if "slow" in request.prompt else 0.0
        self.at_step = self._at_step
        return super().draw(request, previews)

    def place_of(self, model: str) -> SimpleNamespace:
        return SimpleNamespace(device_name="cpu", dtype_name="float32")

    def forget(self) -> None:
        self.requests.clear()

    def drop_changed(self) -> None:
        """Nothing is loaded."""

    def tidy(self) -> None:
        """Nothing is kept."""

    def _at_step(self, index: int) -> None:
        if index != 1:
            return
        if found := re.search(r"dies(?: until (\d+))?", self._prompt):
            if self._happened("dies") < int(found[1] or 1000):
                os.kill(os.getpid(), signal.SIGKILL)
        elif "breaks" in self._prompt:
            raise KeyError("broken")
        elif "reports" in self._prompt:
            os.umask(umask := os.umask(0))
            report = {"folder": str(Path.cwd()), "umask": umask, "environment": dict(os.environ), "pid": os.getpid()}
            (self._folder / "report").write_text(json.dumps(report))
            os.write(2, b"a complaint")
        elif "freezes" in self._prompt and self._happened("freezes") == 0:
            os.kill(os.getpid(), signal.SIGSTOP)

    def _happened(self, what: str) -> int:
        """Count one more occurrence; return how often it happened before."""
        file = self._folder / _file_name(what, self._prompt)
        before = len(file.read_bytes()) if file.exists() else 0
        with file.open("ab") as count:
            count.write(b".")
        return before


def impatient(engine: RemoteEngine, request: Request, folder: Path) -> Iterator[EngineEvent]:
    """The events of a picture that `freezes`, in `folder`: the engine is waited for in vain for two seconds, not 60.

    Just while it is frozen, so that one which is only slow, on a busy machine, does not count as frozen.
    """
    for _ in engine.generate(replace(request, prompt="a cat")):
        pass  # it is there
    has_frozen, is_replaced = folder / _file_name("freezes", request.prompt), False
    usual, engine._patience = engine._patience, 2.0
    for event in engine.generate(request):
        engine._patience = usual
        if isinstance(event, Note) and "was stopped" in event.text:
            is_replaced = True
        elif isinstance(event, Note | Step) and not is_replaced:
            until(has_frozen.exists)
            engine._patience = 2.0
        yield event


def _file_name(what: str, prompt: str) -> str:
    return re.sub(r"\W+", "-", f"{what} {prompt}")


def _make(models: Registry, options: EngineOptions) -> Faulty:
    return Faulty(Path(os.environ["INVOKE_FAULTS"]))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = own_streams()
    serve(questions, answers, _make)  # type: ignore[arg-type]

"""An engine's process with the engine of the tests, which needs no torch. What a prompt says happens at its first step:

`dies` kills the process, `dies until N` as long as fewer than N have died so, `freezes` stops it (once), `breaks` fails
for no known reason, `slow` takes 0.02 s a step, `reports` writes where it finds itself to the file `report`. What has
happened is counted in the folder that INVOKE_FAULTS names.
"""

import json
import os
import re
import signal
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace

from invoke.engine.process.worker import serve
from invoke.events import EngineEvent, Previews
from invoke.models import Registry
from invoke.options import EngineOptions
from invoke.processes import own_streams
from invoke.request import Request
from tests.fakes import FakeEngine


class Faulty(FakeEngine):
    """Does what the prompts say."""

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
        """How often it has happened before; it does so once more."""
        file = self._folder / re.sub(r"\W+", "-", f"{what} {self._prompt}")
        before = len(file.read_bytes()) if file.exists() else 0
        with file.open("ab") as count:
            count.write(b".")
        return before


def _make(models: Registry, options: EngineOptions) -> Faulty:
    return Faulty(Path(os.environ["INVOKE_FAULTS"]))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = own_streams()
    serve(questions, answers, _make)  # type: ignore[arg-type]

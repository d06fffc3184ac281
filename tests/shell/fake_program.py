"""The shell with the engine of the tests: `fake_program SECONDS_PER_STEP [SECONDS_TO_LOAD [KEYS [MORE …]]]`.

`gate` instead of the seconds: the test lets each step through (`gate.py`).

`plain` is the prompt without a queue; `torn` writes straight to the terminal, which tears the prompt with a queue.
"""

import queue
import sys
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import get_args

from invoke import signals
from invoke.cli.standard_streams import open_standard_streams
from invoke.engine import Job
from invoke.errors import InvokeError, OutputError
from invoke.events import EngineEvent, EngineState
from invoke.language.launch_options import Preview
from invoke.models import read_registry
from invoke.session import Session
from invoke.shell import steady
from invoke.shell.app import run
from tests.fakes import FakeEngine
from tests.shell.gate import GatedEngine


class Loading(FakeEngine):
    """Takes `seconds` before the first picture."""

    def __init__(self, seconds: float, pause: float) -> None:
        super().__init__(pause=pause)
        self.seconds, self.ready = seconds, self.state
        self.state = EngineState("loading", "pocket")

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        with suppress(queue.Empty):
            signals.get(queue.SimpleQueue(), self.seconds)
        self.state = self.ready
        yield from super().generate_batch(jobs)


if __name__ == "__main__":
    open_standard_streams()
    pause, loading, keys, *more = [*sys.argv[1:], *("0", "emacs")[len(sys.argv) - 2 :]]
    if "torn" in more:
        steady.Above.write = lambda above, text: sys.stderr.write(text)  # type: ignore[method-assign]
    if pause == "gate":
        engine: FakeEngine = GatedEngine()
    else:
        engine = Loading(float(loading), float(pause)) if float(loading) else FakeEngine(pause=float(pause))
    if "full" in more:
        engine.outcomes.append(OutputError("outputs: the disk is full", code="disk_full"))
    session = Session(engine, read_registry(), launch={"steps": 3})
    preview = next((word for word in more if word in get_args(Preview)), "auto")
    sys.exit(run(session, editing_mode="vi" if keys == "vi" else "emacs", queue="plain" not in more, preview=preview))

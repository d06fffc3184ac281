"""The shell with the engine of the tests: `tests.shell.fake_program SECONDS_PER_STEP [SECONDS_TO_LOAD [KEYS]]`."""

import sys
from collections.abc import Generator, Sequence
from time import sleep

from invoke.engine import Job
from invoke.errors import InvokeError
from invoke.events import EngineEvent
from invoke.models import read_registry
from invoke.session import Session
from invoke.shell.app import run
from tests.fakes import FakeEngine


class Loading(FakeEngine):
    """Takes `seconds` before the first picture."""

    def __init__(self, seconds: float, pause: float) -> None:
        super().__init__(pause=pause)
        self.seconds, self.ready = seconds, self.state
        self.state = "loading pocket"

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        sleep(self.seconds)
        self.state = self.ready
        yield from super().generate_batch(jobs)


if __name__ == "__main__":
    pause, loading, keys = [*sys.argv[1:], *("0", "emacs")[len(sys.argv) - 2 :]]
    engine = Loading(float(loading), float(pause)) if float(loading) else FakeEngine(pause=float(pause))
    session = Session(engine, read_registry(), launch={"steps": 3})
    sys.exit(run(session, editing_mode="vi" if keys == "vi" else "emacs"))

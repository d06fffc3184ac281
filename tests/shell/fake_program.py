"""The shell with the engine of the tests: `python -m tests.shell.fake_program SECONDS_PER_STEP`."""

import sys

from invoke.models import read_registry
from invoke.session import Session
from invoke.shell.start import run
from tests.fakes import FakeEngine

if __name__ == "__main__":
    session = Session(FakeEngine(pause=float(sys.argv[1])), read_registry(), launch={"steps": 3})
    sys.exit(run(session))

"""A batch with the engine of the tests: `python -m tests.batch_program FILE OUTDIR [--resume]`."""

import sys
from pathlib import Path

from invoke.cli.batch import Batch
from invoke.cli.reports import TextReport
from invoke.models import read_registry
from invoke.outputs.ledger import Ledger
from invoke.session import Session
from invoke.text import read_lines
from tests.fakes import FakeEngine

if __name__ == "__main__":
    file, outdir, *options = sys.argv[1:]
    engine = FakeEngine(pause=0.01)  # so that whoever kills it finds something left to be made
    session = Session(engine, read_registry(), launch={"outdir": outdir, "steps": 1, "width": 64, "height": 64})
    report = TextReport(sys.stdout, sys.stderr, quiet=True, single=False)
    ledger = Ledger(file, resume="--resume" in options)
    with Path(file).open("rb") as stream:
        batch = Batch(session, report, dry_run=False, stop_on_error=False, ledger=ledger)
        sys.exit(batch.run(read_lines(stream)))

"""A batch in this process on the test engine: lines in; files, messages and exit status out."""

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from invoke.cli.batch import Batch
from invoke.cli.reports import JsonReport, TextReport
from invoke.cli.stdin import Piped
from invoke.errors import ExitStatus
from invoke.models import read_registry
from invoke.outputs import metadata
from invoke.outputs.ledger import Ledger
from invoke.session import Session
from invoke.workers.messages import Lanes
from invoke.workers.pool import WorkerPool
from invoke.workers.shard import ShardFolder
from tests.fakes import FakeEngine
from tests.program import event_of

DEFAULTS = {"steps": 2, "width": 64, "height": 64}


@dataclass(frozen=True)
class T:
    """The output of one run."""

    status: ExitStatus
    stdout: str
    stderr: str
    engine: FakeEngine

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event_of(line) for line in self.stdout.splitlines()]

    def of_type(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == name]


class Batches:
    """Batches that write to one folder, each a program of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self,
        lines: Iterable[str],
        engine: FakeEngine | None = None,
        *,
        resume: bool = False,
        source: str = "-",
        as_json: bool = False,
        dry_run: bool = False,
        stop_on_error: bool = False,
        quiet: bool = False,
        piped: Piped | None = None,
        lanes: Lanes | None = None,
        shard: ShardFolder | None = None,
        **defaults: Any,
    ) -> T:
        engine = engine or FakeEngine()
        session = Session(engine, read_registry(), launch={"outdir": str(self.folder), **DEFAULTS, **defaults})
        out, err = io.StringIO(), io.StringIO()
        report = JsonReport(out) if as_json else TextReport(out, err, quiet=quiet, single=False)
        part = str(shard.shard).replace("/", "-of-") if shard else ""
        batch = Batch(
            session,
            report,
            dry_run=dry_run,
            stop_on_error=stop_on_error,
            ledger=Ledger(source, resume=resume, keep=not dry_run, part=part),
            piped=piped,
            pool=WorkerPool(lanes, session.remember) if lanes is not None else None,
            shard=shard,
        )
        return T(batch.run(lines), out.getvalue(), err.getvalue(), engine)

    @property
    def pictures(self) -> list[Path]:
        """All that are numbered, sheets too."""
        return sorted(self.folder.glob("0*.png"))

    def made(self) -> Counter[tuple[str, int]]:
        """Prompt and number of every picture, with how many there are; none is torn, nothing is left aside."""
        found: Counter[tuple[str, int]] = Counter()
        for path in self.pictures:
            with Image.open(path) as image:
                image.load()
            recipe = metadata.read(path)
            if recipe is not None and recipe.request is not None:
                found[recipe.request.prompt, int(path.name[:6])] += 1
        assert not list(self.folder.rglob("*.tmp"))
        return found

    def prompts(self) -> Counter[str]:
        """How many pictures there are of each prompt."""
        found: Counter[str] = Counter()
        for (prompt, _), count in self.made().items():
            found[prompt] += count
        return found

"""Our program in this process: lines in, files out, like in the shell or a batch."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from invoke.cli.batch import Batch
from invoke.cli.reports import TextReport
from invoke.engine import Engine
from invoke.engine.process.remote import RemoteEngine
from invoke.errors import ExitStatus
from invoke.events import Finished
from invoke.models import read_registry
from invoke.options import EngineOptions
from invoke.session import Session


class InProcess:
    """A session with its own engine."""

    def __init__(self, model: Path, outdir: Path, *, worker: bool = False, **options: Any) -> None:
        """`options` are fields of EngineOptions; a `worker` is an engine in its own process."""
        from invoke.engine.diffusion_engine import DiffusionEngine

        models, wanted = read_registry(), replace(EngineOptions(offline=True), **options)
        self.engine: Engine = RemoteEngine(models, wanted) if worker else DiffusionEngine(models, wanted)
        self.session = Session(self.engine, models, launch={"model": str(model), "outdir": str(outdir)})

    def make(self, line: str) -> list[bytes]:
        """Run one line to its end; the pixels of its pictures."""
        made = []
        with closing(self.session.submit(line)) as events:
            for event in events:
                if isinstance(event, Finished):
                    made.append(event.image.data)
        return made

    def make_all(self, lines: Iterable[str]) -> int:
        """Run `lines` like a file of lines; return the number of pictures."""
        said = StringIO()
        report = TextReport(StringIO(), said, quiet=False, single=False)
        batch = Batch(self.session, report, dry_run=False, stop_on_error=True)
        if batch.run(lines) != ExitStatus.OK:
            raise RuntimeError(f"a line failed: {said.getvalue()}")
        return batch.tally.made

    def close(self) -> None:
        self.engine.close()


def loaded(model: Path, *, compile: bool = False) -> Any:
    """The networks of `model`, as the engine has them on a processor."""
    from invoke.engine.components.devices import choose_placement
    from invoke.engine.loading.model_pool import ModelPool

    return ModelPool(
        read_registry(), choose_placement(EngineOptions(device="cpu", compile=compile)), offline=True
    ).model(str(model))

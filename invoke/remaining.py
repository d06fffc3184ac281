"""What is left to make of the lines of a batch, and the making of it, with every step written into the ledger."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from invoke.command.draft import Draft
from invoke.command.plan import Plan
from invoke.downloads import without_downloads
from invoke.errors import InvokeError, OutputError
from invoke.events import Noted, Saved
from invoke.forecast import Forecast
from invoke.known_lines import Seeds, identity, outdir
from invoke.outputs import ledger as rows
from invoke.outputs.ledger import Entry, Ledger
from invoke.outputs.resumed import clear, digest, is_whole, resumed
from invoke.report import Report, Tally
from invoke.session import Made, Session
from invoke.speeds import Speeds, measured

Told = TypeVar("Told")


class Remaining:
    """Makes the pictures of lines as far as `ledger` does not have them; `tally` counts what became of them."""

    def __init__(self, session: Session, report: Report, ledger: Ledger, *, dry_run: bool, device: str) -> None:
        self.ledger = ledger
        self.tally = Tally(skipped=0 if ledger.resume else None, forecast=Forecast() if dry_run else None)
        self._session = session
        self._report = report
        self._seconds = partial(Speeds().seconds, device=device)

    def entry(self, number: int, line: str, folder: str) -> Entry | None:
        """What is known of the line; None where it is finished, and only told and counted. Raises OutputError."""
        entry = self.ledger.entry(Path(folder).expanduser(), identity(line, self._session))
        if not entry.done:
            return entry
        self.tally.skipped = (self.tally.skipped or 0) + 1
        paths = [str(entry.folder / made.file) for made in entry.pictures]
        # later lines may start from them
        self._session.made += [Made(path, made.seed) for path, made in zip(paths, entry.pictures, strict=True)]
        self._report.skipped(number, paths)
        return None

    def make(self, number: int, line: str, draft: Draft, planned: Callable[[], Sequence[Plan]]) -> None:
        """Make what `planned` says of a line that reads as `draft`. Raises InvokeError."""
        earlier = self.entry(number, line, outdir(draft, self._session))
        if earlier is None:
            return
        self._session.draw_seed = seeds = Seeds(earlier.draws, self._session.draw_seed)
        try:
            plans = planned()
        except InvokeError:
            self._report.read(number, draft)
            raise
        finally:
            self._session.draw_seed = seeds.others
        entry = earlier
        for plan in plans:
            # what is made of one line has one number
            plan = replace(plan, number=entry.number)  # noqa: PLW2901
            if earlier.number is not None:
                plan = _with_note(resumed(plan, earlier, partial(self.ledger.knows, earlier.folder)))  # noqa: PLW2901
            self._report.plan(number, plan)
            if self.tally.forecast is not None:
                self.tally.forecast.add(plan, self._seconds)
            else:
                entry = self._make(number, plan, entry, seeds.drawn)
        if self.tally.forecast is None:
            self.ledger.finish(entry)

    def _make(self, number: int, plan: Plan, entry: Entry, draws: Sequence[int]) -> Entry:
        clear(plan)
        plan = self._session.claim(plan)
        entry = self._claim(number, plan, entry, draws)
        if is_whole(plan):
            self._session.made += [Made(path, plan.picture(index).request.seed) for index, path in plan.made.items()]
            return entry
        with closing(measured(allowed(self._session, self._session.run(plan)))) as events:
            for event in events:
                if isinstance(event, Saved) and event.kind == "image":
                    assert event.request is not None
                    self.tally.made += 1
                    picture = rows.Made(digest(event.request), Path(event.path).name, event.request.seed)
                    self.ledger.made(entry, picture)
                self._report.event(number, event)
        return entry

    def _claim(self, number: int, plan: Plan, entry: Entry, draws: Sequence[int]) -> Entry:
        assert plan.number is not None
        try:
            return self.ledger.claim(entry, plan.number, draws)
        except OutputError as error:
            if self.ledger.resume:
                raise
            self._report.event(number, Noted(f"this batch cannot be resumed: {error.message}"))
            self.ledger.close()
            self.ledger = Ledger(keep=False)
            return entry


def allowed(session: Session, events: Generator[Told, None, None]) -> Generator[Told, None, None]:
    """`events`, which fetch no model unless the launch has said so."""
    return events if session.downloads else without_downloads(events)


def _with_note(plan: Plan) -> Plan:
    if not plan.made:
        return plan
    return replace(plan, notes=(*plan.notes, f"{len(plan.made)} of {plan.count} pictures are made already"))

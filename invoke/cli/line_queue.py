"""LineQueue: makes the unfinished pictures of a batch's lines, and records progress in the ledger."""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import TypeVar

from invoke.cli.crew import Crew, CrewLine, reads_from
from invoke.cli.forecast import Forecast
from invoke.cli.reports import Report, Tally
from invoke.cli.resume import (
    clear,
    complete_logs,
    digest,
    identity,
    is_whole,
    missing_files,
    outdir,
    own_column,
    own_folder,
    refers_back,
    resumed,
)
from invoke.errors import InvokeError
from invoke.events import Event, Saved
from invoke.language.parse import Draft
from invoke.language.plan import Plan, Planned
from invoke.language.seeds import DrawSeed, Seeds, random_seed
from invoke.models.hub.consent import without_downloads
from invoke.outputs import logs
from invoke.outputs.ledger import Entry, Ledger, PictureRow
from invoke.outputs.speeds import Speeds, measured
from invoke.outputs.writer import refuse_file, sentences
from invoke.paths import expanded
from invoke.session import Session
from invoke.text import counted
from invoke.workers.line_run import WINDOW
from invoke.workers.pool import PictureEvent, SheetSaved, WorkerPool
from invoke.workers.shard import Reservation, ShardFolder

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A plan that is about to run and is recorded in the ledger."""

    number: int
    """Number of its line."""
    plan: Plan
    entry: Entry


class LineQueue:
    """Makes the pictures of lines that `ledger` does not list yet; `tally` counts the results."""

    def __init__(  # noqa: PLR0913 - all but the first three by keyword
        self,
        session: Session,
        report: Report,
        ledger: Ledger,
        *,
        fail: Callable[[int, InvokeError], None],
        end: Callable[[int], None],
        dry_run: bool,
        seconds: Callable[[Planned], float | None] | None = None,
        pool: WorkerPool | None = None,
        shard: ShardFolder | None = None,
    ) -> None:
        """`fail` is called for a line that fails while its pictures are made (by `pool`, if given), `end` when a line
        has ended. `seconds` estimates the time of a picture in a dry run."""
        self.ledger = ledger
        self.made: Counter[int] = Counter()
        """Line → number of its pictures that were made."""
        self.tally = Tally(skipped=0 if ledger.resume else None, forecast=Forecast() if dry_run else None)
        self._session = session
        self._report = report
        self._fail, self._line_ends = fail, end
        self._seconds = seconds or Speeds().seconds
        self._pending: list[_Claimed] = []
        self._unlogged: set[int] = set()
        """Lines whose rows may be missing from the logs; they do not count as finished."""
        self._trouble = ""
        """The last reported error of the ledger."""
        self._crew = Crew(pool, session, report, self.tally, self._keep_of_crew, self._end) if pool else None
        self._shard = shard

    def entry(self, number: int, line: str, folder: str, column: int | None) -> Entry | None:
        """The line's entry; None if it is finished, which is only reported and counted. Raises OutputError.

        `column` is the position of `folder` in the line, if it is from the line's own -o.
        """
        with own_folder(column):
            entry = self.ledger.entry(expanded(folder), identity(line, self._session))
        gone = missing_files(entry) if entry.done else 0
        if not entry.done or gone:
            return replace(entry, done=False)
        self.tally.skipped = (self.tally.skipped or 0) + 1
        paths = [str(entry.folder / made.file) for made in entry.pictures]
        pictures = [(path, made.seed) for path, made in zip(paths, entry.pictures, strict=True)]
        if self._crew:
            self._crew.pass_over(pictures)
        else:
            self.make_all()
            self._session.remember(pictures)
        self._report.skipped(number, paths)
        return None

    def make(self, number: int, line: str, draft: Draft, planned: Callable[[DrawSeed], Sequence[Plan]]) -> None:
        """Make the plans of the line parsed as `draft`, now or together with the next lines. Raises InvokeError."""
        if refers_back(line) or self._reads_results(draft):
            self.make_all()
        column = own_column(draft)
        earlier = self.entry(number, line, outdir(draft, self._session), column)
        if earlier is None:
            return
        reservation = self._join_shards(earlier.folder, column)
        seeds = Seeds(earlier.draws, reservation.seeds(number) if reservation else random_seed)
        try:
            plans = self._planned(partial(planned, seeds))
            with own_folder(column):
                for plan in plans if self.tally.forecast is not None else ():
                    refuse_file(plan.output.outdir)
        except InvokeError as error:
            self._hint_at_shard(error)
            self._report.read(number, draft)
            raise
        entry = earlier
        crew_line = CrewLine(number, entry, len(plans))
        for plan in plans:
            # all pictures of one line have the same number
            reserved = reservation.number(number) if reservation else None
            plan = replace(plan, number=reserved if entry.number is None else entry.number)  # noqa: PLW2901
            if earlier.number is not None:
                plan = _with_notes(resumed(plan, earlier, partial(self.ledger.knows, earlier.folder)), earlier)  # noqa: PLW2901
            self._report.plan(number, plan)
            if self.tally.forecast is not None:
                self.tally.forecast.add(plan, self._seconds)
                continue
            clear(plan)
            self._complete_logs(number, plan)
            with own_folder(column):
                plan = self._session.claim(plan)  # noqa: PLW2901
            assert plan.number is not None
            entry = self.ledger.claim(entry, plan.number, seeds.drawn)
            self._report_ledger_error(number)
            if self._crew:
                crew_line.entry = entry
                self._crew.open(crew_line, plan)
                continue
            if is_whole(plan):
                self.make_all()  # pictures are remembered in the order of the lines
            self._pending.append(_Claimed(number, plan, entry))
        if self._crew:
            return
        size = max((one.plan.picture(0).request.batch_size for one in self._pending), default=1)
        if size == 1 or sum(claimed.plan.count for claimed in self._pending) >= WINDOW * size:
            self.make_all()

    def waits(self, number: int) -> bool:
        """Whether part of the line is still pending."""
        return any(one.number == number for one in self._pending) or (self._crew is not None and self._crew.has(number))

    def make_all(self) -> None:
        """Make everything that is pending, or wait until the workers have made it."""
        if self._crew:
            self._crew.finish()
            return
        claimed, self._pending = self._pending, []
        try:
            self._make(claimed)
        finally:
            for number in dict.fromkeys(one.number for one in claimed):
                self._line_ends(number)

    def _make(self, claimed: Sequence[_Claimed]) -> None:
        failed: dict[int, InvokeError] = {}
        missing = [one for one in claimed if not is_whole(one.plan)]
        for one in claimed:
            if one not in missing:
                paths = one.plan.made.items()
                self._session.remember((path, one.plan.picture(index).request.seed) for index, path in paths)
        try:
            self._draw(missing, failed)
        except InvokeError as error:  # none of them can continue
            failed |= {one.number: error for one in missing if one.number not in failed}
        for number, one in {one.number: one for one in claimed}.items():
            if number not in failed:
                self._finish(number, one.entry)
                self._report_ledger_error(number)
        for number, why in failed.items():
            self._fail(number, why)

    def wait(self, seconds: float) -> None:
        """Make what is pending while the next line has not arrived."""
        if self._crew:
            end = monotonic() + seconds
            while not self._crew.pool.is_idle and monotonic() < end:
                self._crew.go_on(end - monotonic())
        else:
            self.make_all()

    def stop(self) -> None:
        """Start no new pictures."""
        if self._crew:
            self._crew.stop()

    def close(self) -> None:
        """End the workers, keep what they sent, and write what could not be written before."""
        if self._crew:
            self._crew.close()
        if self._shard:
            self._shard.close()
        self.ledger.close()
        self._report_ledger_error(0)

    def _planned(self, planned: Callable[[], Sequence[Plan]]) -> Sequence[Plan]:
        try:
            return planned()
        except InvokeError:
            if not self._pending and (self._crew is None or self._crew.pool.is_idle):
                raise
        self.make_all()  # the line may start from one of the pending pictures
        return planned()

    def _draw(self, lines: Sequence[_Claimed], failed: dict[int, InvokeError]) -> None:
        """Make the pictures of `lines`; errors are added to `failed`, by line number."""
        together = self._session.run_batch([line.plan for line in lines])
        event_in = itemgetter(1)
        with closing(measured(allowed(self._session, together, event_in), event_in)) as happened:
            for place, event in happened:
                if isinstance(event, InvokeError):
                    failed.setdefault(lines[place].number, event)
                else:
                    self._keep(lines[place], event)

    def _complete_logs(self, number: int, plan: Plan) -> None:
        """If the logs cannot be completed now, the line is not finished: the next `--resume` tries again."""
        if not complete_logs(plan):
            self._unlogged.add(number)

    def _finish(self, number: int, entry: Entry) -> None:
        """Record that a line is done, unless rows of the logs are missing."""
        if logs.flush(entry.folder) and number not in self._unlogged:
            self.ledger.finish(entry)
            self._report_ledger_error(number)

    def _keep_of_crew(self, line: CrewLine, happened: PictureEvent | SheetSaved) -> None:
        if isinstance(happened, PictureEvent):
            self._keep(line, happened.event, picture=happened.index + 1, worker=happened.worker + 1)
        else:
            self._keep(line, happened.event)

    def _end(self, line: CrewLine) -> None:
        if line.error is not None:
            self._fail(line.number, line.error)
        elif line.is_whole:
            self._finish(line.number, line.entry)
        self._line_ends(line.number)

    def _reads_results(self, draft: Draft) -> bool:
        """Whether `draft` may read results of lines in progress: anything in an output folder in use."""
        if self._crew is None:
            return reads_from(draft, [one.entry.folder for one in self._pending])
        return not self._crew.pool.is_idle and self._crew.reads_results(draft)

    def _hint_at_shard(self, error: InvokeError) -> None:
        """Explain that a picture that a line refers to may be from before the shard's first line."""
        if self._shard is not None and error.code == "no_such_picture":
            shard, first = self._shard.shard, self._shard.block.start
            error.hint = f"shard {shard} begins with line {first}, and has no picture before it"

    def _join_shards(self, folder: Path, column: int | None) -> Reservation | None:
        """The numbers that the shards of this batch have reserved in `folder`. Raises OutputError."""
        if self._shard is None or self.tally.forecast is not None:
            return None
        with own_folder(column), sentences(folder):
            return self._shard.join(folder)

    def _keep(
        self, line: _Claimed | CrewLine, event: Event, *, picture: int | None = None, worker: int | None = None
    ) -> None:
        """Record and report an event of a picture of `line`."""
        if isinstance(event, Saved) and event.kind == "image":
            assert event.request is not None
            self.tally.made += 1
            self.made[line.number] += 1
            row = PictureRow(digest(event.request), Path(event.path).name, event.request.seed)
            self.ledger.made(line.entry, row)
            self._report_ledger_error(line.number)
        self._report.event(line.number, event, picture=picture, worker=worker)

    def _report_ledger_error(self, number: int) -> None:
        """Report once that the ledger cannot be written; its rows are kept in memory until it can."""
        trouble = self.ledger.trouble
        if trouble is not None and trouble.message != self._trouble:
            self._report.warn(number, f"this batch cannot be resumed until this is fixed: {trouble.message}")
        self._trouble = trouble.message if trouble is not None else ""


def allowed(
    session: Session, events: Generator[T, None, None], event_in: Callable[[T], object] = lambda item: item
) -> Generator[T, None, None]:
    """`events`, without downloads unless the launch allows them; `event_in` extracts the event of an item."""
    return events if session.downloads else without_downloads(events, event_in)


def _with_notes(plan: Plan, entry: Entry) -> Plan:
    """`plan` with notes about what the ledger has of the line."""
    notes = [*plan.notes]
    if gone := missing_files(entry):
        notes.append(
            f"{counted(gone, 'finished picture')} {'is' if gone == 1 else 'are'} missing and will be made again"
        )
    if plan.made:
        notes.append(f"{len(plan.made)} of {plan.count} pictures already exist")
    if plan.redrawn:
        notes.append(f"the steps of {counted(len(plan.redrawn), 'picture')} are drawn again: their strip is missing")
    return replace(plan, notes=tuple(notes))

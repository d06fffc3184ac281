"""Batch: runs lines from a file, a pipe or the command line, each planned and made as soon as it arrives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from invoke import signals
from invoke.cli.line_queue import LineQueue, allowed
from invoke.cli.reports import Report
from invoke.cli.resume import is_of_one_line, outdir, own_column, own_folder
from invoke.cli.stdin import PATIENCE, Piped, Waiting
from invoke.errors import CommandError, ExitStatus, InvokeError, ModelError, OutputError, unexpected
from invoke.events import Event, Note
from invoke.language.command_table import find, read_file_line
from invoke.language.parse import CommandCall, Draft, Nothing, Quit, read
from invoke.language.plan import Plan, Planned
from invoke.language.seeds import DrawSeed
from invoke.outputs.ledger import Ledger
from invoke.outputs.writer import refuse_file
from invoke.session import Session
from invoke.text import columns_of
from invoke.workers.pool import WorkerPool
from invoke.workers.scheduler import NO_WORKERS
from invoke.workers.shard import ShardFolder

if TYPE_CHECKING:  # ordinary lines do not need the commands
    from invoke.commands.verdict import Verdict

log = logging.getLogger(__name__)

Line = str | CommandError | Waiting


class Batch:
    """Runs lines one after the other and counts their results."""

    def __init__(  # noqa: PLR0913 - all but the first two by keyword
        self,
        session: Session,
        report: Report,
        *,
        dry_run: bool,
        stop_on_error: bool,
        log_file: str = "",
        ledger: Ledger | None = None,
        piped: Piped | None = None,
        seconds: Callable[[Planned], float | None] | None = None,
        alone: bool = False,
        pool: WorkerPool | None = None,
        workers: int = 1,
        shard: ShardFolder | None = None,
    ) -> None:
        """`ledger` is kept for a later `--resume` (None: not), `piped` is the picture that `-I -` means,
        `seconds` estimates how long a picture takes, for a dry run."""
        self.session = session
        self.report = report
        self.dry_run = dry_run
        self.stop_on_error = stop_on_error
        self.log_file = log_file
        self.alone = alone
        self.piped = piped or Piped(None)
        self.queue = LineQueue(
            session,
            report,
            ledger or Ledger(keep=False),
            fail=self.fail,
            end=self._end,
            dry_run=dry_run,
            seconds=seconds,
            pool=pool,
            shard=shard,
        )
        self.shard = shard
        self.tally = self.queue.tally
        if pool is not None:
            self.tally.workers = len(pool)
            report.starting(len(pool))
        if self.tally.forecast is not None:
            self.tally.forecast.workers = workers
        self._current = 0
        """The line that is being read; 0 between lines."""
        self._started: dict[int, float] = {}
        """Line → time when it was read, for lines that have not ended."""
        self._failed: set[int] = set()
        self.empty = True
        self.is_over = False
        """Whether to stop reading lines: a line quits, or failed in a way that would fail all others too."""
        self.unusable = 0
        """Number of lines that failed because a model or folder cannot be used."""
        self.is_unwritable = False
        """Whether the batch ended because nothing more can be saved or printed."""
        self.has_no_workers = False
        """Whether all workers are lost."""

    def run(self, lines: Iterable[Line]) -> ExitStatus:
        """Make all `lines`; an error in one is reported, and the next continues.

        If the output folder cannot be written to, the batch ends at once, as nothing could be saved. If it is a folder
        from the line's own -o, only that line fails.
        """
        started = monotonic()
        self.tally.is_cut = self.queue.ledger.keep
        try:
            self._run(lines)
            if self.empty:
                self.report.error(0, CommandError("there is nothing to make", code="no_lines"))
                return ExitStatus.USAGE
        finally:
            self.queue.close()
            self.piped.close()
            self.tally.seconds = monotonic() - started
            self.report.done(self.tally)
        if (
            self.is_unwritable
            or self.has_no_workers
            or (self.tally.failed and self.unusable == self.tally.failed and not self.tally.made)
        ):
            return ExitStatus.UNUSABLE
        return ExitStatus.FAILED if self.tally.failed else ExitStatus.OK

    def _run(self, lines: Iterable[Line]) -> None:
        number = 0
        for line in lines:
            signals.check()
            if isinstance(line, Waiting):
                self._guarded(number, partial(self.queue.wait, PATIENCE))
            else:
                number += 1
                self._current = number
                if self.shard is None or number in self.shard.block:
                    self._started[number] = monotonic()
                self._guarded(number, partial(self._follow, number, line))
                self._current = 0
                self._end(number)
            if self.shard is not None and number >= self.shard.block.stop - 1 and not self.is_over:
                self.leave()
            if self.is_over:
                break
        else:
            self.tally.is_cut = False
        self._guarded(number, self.queue.make_all)

    def _guarded(self, number: int, work: Callable[[], None]) -> None:
        """Do `work`; errors in it are reported as errors of line `number`."""
        try:
            work()
        except InvokeError as error:
            self.fail(number, error)
        except BrokenPipeError:
            raise
        except Exception as error:  # a bug of ours; the batch continues
            log.exception("line %d", number)
            self.fail(number, unexpected(error, self.log_file))

    def _follow(self, number: int, line: str | CommandError) -> None:
        """Execute a line. Raises InvokeError."""
        if isinstance(line, CommandError):
            raise line
        if self.shard is not None and number not in self.shard.block:
            self._pass_over(line)
            return
        parsed = read(line)
        self.empty = self.empty and isinstance(parsed, Nothing)
        match parsed:
            case Quit():
                self.leave()
            case CommandCall() as call:
                self._command(number, line, call)
            case Draft() as draft:
                self.queue.make(number, line, draft, lambda draw_seed: [self._planned(draft, draw_seed)])
            case Nothing():
                pass

    def _end(self, number: int) -> None:
        """Report the end of a line, unless it is still being read or part of it is pending."""
        if number == self._current or number not in self._started or self.queue.waits(number):
            return
        seconds = monotonic() - self._started.pop(number)
        failed = number in self._failed
        self._failed.discard(number)
        self.report.end(number, made=self.queue.made.pop(number, 0), failed=failed, seconds=seconds)

    def leave(self) -> None:
        """Stop reading lines, because one of them quits."""
        self.is_over = True
        self.tally.is_cut = False

    def fail(self, number: int, error: InvokeError) -> None:
        """Report that a line failed."""
        self.empty = False
        self.tally.failed += 1
        self._failed.add(number)
        self.unusable += isinstance(error, OutputError | ModelError) or error.code == "no_device"
        self.report.error(number, error)
        self.is_unwritable = self.is_unwritable or not is_of_one_line(error)
        self.has_no_workers = self.has_no_workers or error.code == NO_WORKERS
        if self.stop_on_error or self.has_no_workers or self.is_unwritable:
            self.is_over = True
            self.queue.stop()

    def count_failed(self, number: int) -> None:
        """Count a line that failed without an error: the picture made again differs."""
        self.tally.failed += 1
        self._failed.add(number)
        if self.stop_on_error:
            self.is_over = True
            self.queue.stop()

    def _command(self, number: int, line: str, call: CommandCall) -> None:
        from invoke.commands import run

        row = find(call, in_file=True, alone=self.alone)
        if not row.lasts:  # the others affect lines that are planned later
            self.queue.make_all()
        if row.recorded:
            self.report.read(number, read_file_line(call))
        run(_Surroundings(self, number, line), call, alone=self.alone)

    def _pass_over(self, line: str) -> None:
        """A line of another shard: apply only what affects later lines. The other shard reports its errors."""
        self.empty = False
        with suppress(CommandError):
            match read(line):
                case Quit():
                    self.leave()
                case CommandCall() as call if find(call, in_file=True).lasts:
                    from invoke.commands import run

                    run(_Surroundings(self, 0, line), call)

    def _planned(self, draft: Draft, draw_seed: DrawSeed) -> Plan:
        with own_folder(own_column(draft)):
            found = self.piped.found(draft, outdir(draft, self.session), keep=not self.dry_run)
        return replace(self.session.resolve(found, draw_seed), draft=draft)


class _Surroundings:
    """Implements `commands.context.CommandContext` for one command of a batch."""

    in_file = True

    def __init__(self, batch: Batch, number: int, line: str) -> None:
        self.session = batch.session
        self.dry_run = batch.dry_run
        self._batch, self._number, self._line = batch, number, line
        self._report = batch.report

    @property
    def stopped(self) -> bool:
        return self._batch.is_over

    @property
    def columns(self) -> int | None:
        return columns_of(self._report.out)

    def say(self, text: str) -> None:
        for line in text.split("\n"):
            self._report.output(self._number, line)

    def confirm(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        self._report.event(self._number, Note(text))

    def fail(self, error: InvokeError) -> None:
        self._batch.fail(self._number, error)

    def ask(self, question: str) -> bool:
        return self.session.downloads

    def watch(self, events: Generator[Event, None, None] | Generator[Event | Verdict, None, None]) -> None:
        from invoke.commands.verdict import Verdict

        for event in allowed(self.session, events):
            if isinstance(event, Verdict):
                self._report.verdict(self._number, event)
                if event.kind == "different":
                    self._batch.count_failed(self._number)
            else:
                self._report.event(self._number, event)

    def make(self, typed: Draft, plans: Callable[[DrawSeed], Sequence[Plan]]) -> None:
        self._batch.queue.make(self._number, self._line, typed, plans)

    def make_files(self, outdir: str, column: int | None, events: Callable[[], Generator[Event, None, None]]) -> None:
        """If a batch is killed between the files, a resumed one makes them all again, under a new number."""
        entry = self._batch.queue.entry(self._number, self._line, outdir, column)
        with own_folder(column):
            if self.dry_run:
                refuse_file(outdir)
            elif entry is not None:
                self.watch(events())
                self._batch.queue.ledger.finish(entry)

    def put_back(self, text: str, column: int | None = None) -> None:
        self.say(text)

    def leave(self) -> None:
        self._batch.leave()

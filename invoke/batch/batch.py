"""Many lines without a prompt: each is planned and made as soon as it has arrived."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic

from invoke.answers import ANSWERS, answer
from invoke.batch.arriving import Waiting
from invoke.batch.known_lines import is_of_one_line, outdir, own_column, own_folder
from invoke.batch.piped import Piped
from invoke.batch.remaining import Remaining, allowed
from invoke.command.commands import argument, find, in_place, read_file_line
from invoke.command.draft import Bang, Draft, Nothing, Quit
from invoke.command.parse import read
from invoke.command.plan import Plan
from invoke.command.selection import Selection, read_selection
from invoke.errors import CommandError, ExitStatus, InvokeError, ModelError, OutputError, PictureError, unexpected
from invoke.events import Noted
from invoke.finding import folder_named, pictures_named
from invoke.fixing import plans
from invoke.outputs.gallery import write_gallery
from invoke.outputs.ledger import Ledger
from invoke.outputs.writer import refuse_file
from invoke.report import Report
from invoke.session import Session
from invoke.text import columns_of
from invoke.verify import Verdict, recorded, verify

log = logging.getLogger(__name__)

Line = str | CommandError | Waiting


class Batch:
    """Runs lines one after the other and counts what became of them."""

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
        device: str = "auto",
    ) -> None:
        """`ledger` is what is kept for a later `--resume` (None: nothing), `piped` the picture that `-I -` means;
        for a device of this name a dry run says how long the pictures will take."""
        self.session = session
        self.report = report
        self.dry_run = dry_run
        self.stop_on_error = stop_on_error
        self.log_file = log_file
        self.piped = piped or Piped(None)
        self._left = Remaining(
            session, report, ledger or Ledger(keep=False), fail=self._fail, dry_run=dry_run, device=device
        )
        self.tally = self._left.tally
        self.empty = True
        self._is_over = False
        """Whether no more lines are read: one says so, or has failed so that it is no use to go on."""
        self.unusable = 0
        """How many of the failed lines found a model or folder that cannot be used."""

    def run(self, lines: Iterable[Line]) -> ExitStatus:
        """Make all of `lines`; a bad one is reported and the next goes on.

        An output folder that cannot be written to ends the batch at once: what cannot be saved is not worth making.
        One that a line names itself fails that line.
        """
        started = monotonic()
        self.tally.is_cut = self._left.ledger.keep
        try:
            self._run(lines)
            if self.empty:
                self.report.error(0, CommandError("there is no line to make", code="no_lines"))
                return ExitStatus.USAGE
        finally:
            self._left.ledger.close()
            self.piped.close()
            self.tally.seconds = monotonic() - started
            self.report.done(self.tally)
        if self.tally.failed and self.unusable == self.tally.failed and not self.tally.made:
            return ExitStatus.UNUSABLE
        return ExitStatus.FAILED if self.tally.failed else ExitStatus.OK

    def _run(self, lines: Iterable[Line]) -> None:
        number = 0
        for line in lines:
            if isinstance(line, Waiting):
                self._guarded(number, self._left.make_all)
            else:
                number += 1
                self._guarded(number, partial(self._follow, number, line))
            if self._is_over:
                break
        else:
            self.tally.is_cut = False
        self._guarded(number, self._left.make_all)

    def _guarded(self, number: int, work: Callable[[], None]) -> None:
        """Do `work`; what goes wrong in it is reported as of line `number`."""
        try:
            work()
        except InvokeError as error:
            self._fail(number, error)
        except BrokenPipeError:
            raise
        except Exception as error:  # our mistake; the batch goes on
            log.exception("line %d", number)
            self._fail(number, unexpected(error, self.log_file))

    def _follow(self, number: int, line: str | CommandError) -> None:
        """Do what a line says. Raises InvokeError."""
        if isinstance(line, CommandError):
            raise line
        wish = read(line)
        self.empty = self.empty and isinstance(wish, Nothing)
        match wish:
            case Quit():
                self._quit()
            case Bang() as bang:
                self._command(number, line, bang)
            case Draft() as draft:
                self._left.make(number, line, draft, lambda: [self._planned(draft)])
            case Nothing():
                pass

    def _quit(self) -> None:
        """The lines themselves say that this is all."""
        self._is_over = True
        self.tally.is_cut = False

    def _fail(self, number: int, error: InvokeError) -> None:
        """Report what became of a line."""
        self.empty = False
        self.tally.failed += 1
        self.unusable += isinstance(error, OutputError | ModelError) or error.code == "no_device"
        self.report.error(number, error)
        self._is_over = self._is_over or self.stop_on_error or not is_of_one_line(error)

    def _command(self, number: int, line: str, bang: Bang) -> None:
        """The few commands that mean something in a file."""
        self._left.make_all()
        if bang.name == "mask":
            self.report.read(number, read_file_line(bang))
        match find(bang, in_file=True).name:
            case "set":
                self.session.set_default(in_place(bang))
            case "switch":
                self.session.switch(argument(bang, "a model"))
            case "mask":
                self._mask(number, line, read_selection(bang, self.session.defaults, self.session.made))
            case "verify":
                self._verify(number, pictures_named(bang, self.session))
            case "fix":
                typed = read_file_line(bang)
                self._left.make(number, line, typed, lambda: plans(self.session, bang))
            case name if name in ANSWERS and not (name == "config" and self.dry_run and bang.rest):
                for told in answer(bang, self.session, columns_of(self.report.out)):
                    self.report.told(number, told)
            case "gallery" if not self.dry_run:
                for event in write_gallery(folder_named(bang, self.session)):
                    self.report.event(number, event)
            case "quit":
                self._quit()

    def _planned(self, draft: Draft) -> Plan:
        with own_folder(own_column(draft)):
            found = self.piped.found(draft, outdir(draft, self.session), keep=not self.dry_run)
        return replace(self.session.resolve(found), draft=draft)

    def _mask(self, number: int, line: str, selection: Selection) -> None:
        """Its three pictures are made again, under a new number, where a batch was killed between them."""
        entry = self._left.entry(number, line, selection.outdir, selection.outdir_column)
        with own_folder(selection.outdir_column):
            if self.dry_run:
                refuse_file(selection.outdir)
            elif entry is not None:
                for event in allowed(self.session, self.session.mask(selection)):
                    self.report.event(number, event)
                self._left.ledger.finish(entry)

    def _verify(self, number: int, paths: Sequence[str]) -> None:
        """Sheets and other files without a recipe are passed over where a pattern names several; that is said."""
        for path in paths:
            try:
                if self.dry_run:
                    recorded(path)
                    continue
                for event in allowed(self.session, verify(self.session.engine, path)):
                    if isinstance(event, Verdict):
                        self.report.verdict(number, path, event)
                        if event.kind == "different":
                            self.tally.failed += 1
                            self._is_over = self._is_over or self.stop_on_error
            except PictureError as error:
                if error.code == "no_recipe" and len(paths) > 1:
                    self.report.event(number, Noted(error.message))
                else:
                    self._fail(number, error)
            if self._is_over:
                break

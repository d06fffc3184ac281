"""Many lines without a prompt: each is planned and made as soon as it has arrived."""

import logging
from collections.abc import Generator, Iterable
from time import monotonic
from typing import TypeVar

from invoke.command.commands import argument, find, in_place, read_file_line
from invoke.command.draft import Bang, Draft, Nothing, Quit
from invoke.command.parse import read
from invoke.command.plan import Plan
from invoke.command.selection import Selection, read_selection
from invoke.downloads import without_downloads
from invoke.errors import CommandError, ExitStatus, InvokeError, ModelError, OutputError, unexpected
from invoke.events import Saved
from invoke.fixing import plans
from invoke.report import Report
from invoke.session import Session
from invoke.verify import Verdict, verify

log = logging.getLogger(__name__)

Line = str | CommandError
Told = TypeVar("Told")


class Batch:
    """Runs lines one after the other and counts what became of them."""

    def __init__(
        self, session: Session, report: Report, *, dry_run: bool, stop_on_error: bool, log_file: str = ""
    ) -> None:
        self.session = session
        self.report = report
        self.dry_run = dry_run
        self.stop_on_error = stop_on_error
        self.log_file = log_file
        self.made = 0
        self.failed = 0
        self.empty = True
        self.unusable = 0
        """How many of the failed lines found a model or folder that cannot be used."""

    def run(self, lines: Iterable[Line]) -> ExitStatus:
        """Make all of `lines`; a bad one is reported and the next goes on.

        An output folder that cannot be written to ends the batch at once: what cannot be saved is not worth making.
        """
        started = monotonic()
        try:
            for number, line in enumerate(lines, start=1):
                if not self._goes_on(number, line):
                    break
            if self.empty:
                self.report.error(0, CommandError("there is no line to make", code="no_lines"))
                return ExitStatus.USAGE
        finally:
            self.report.done(self.made, self.failed, monotonic() - started)
        if self.failed and self.unusable == self.failed and not self.made:
            return ExitStatus.UNUSABLE
        return ExitStatus.FAILED if self.failed else ExitStatus.OK

    def _goes_on(self, number: int, line: Line) -> bool:
        """Run one line; False if it is the last."""
        try:
            if isinstance(line, CommandError):
                raise line
            wish = read(line)
            self.empty = self.empty and isinstance(wish, Nothing)
            match wish:
                case Quit():
                    return False
                case Bang() as bang:
                    return self._command(number, bang)
                case Draft() as draft:
                    self._draft(number, draft)
                case Nothing():
                    pass
        except InvokeError as error:
            return self._fail(number, error)
        except BrokenPipeError:
            raise
        except Exception as error:  # our mistake; the batch goes on
            log.exception("%s", line)
            return self._fail(number, unexpected(error, self.log_file))
        return True

    def _fail(self, number: int, error: InvokeError) -> bool:
        """Report what became of a line; False if the batch ends with it."""
        self.empty = False
        self.failed += 1
        self.unusable += isinstance(error, OutputError | ModelError)
        self.report.error(number, error)
        return not (self.stop_on_error or isinstance(error, OutputError))

    def _draft(self, number: int, draft: Draft) -> None:
        try:
            plan = self.session.resolve(draft)
        except InvokeError:
            self.report.read(number, draft)
            raise
        self._make(number, plan)

    def _make(self, number: int, plan: Plan) -> None:
        self.report.plan(number, plan)
        if self.dry_run:
            return
        for event in self._allowed(self.session.run(plan)):
            if isinstance(event, Saved) and event.kind == "image":
                self.made += 1
            self.report.event(number, event)

    def _allowed(self, events: Generator[Told, None, None]) -> Generator[Told, None, None]:
        return events if self.session.downloads else without_downloads(events)

    def _command(self, number: int, bang: Bang) -> bool:
        """The few commands that mean something in a file; False if the batch ends with it."""
        if bang.name == "mask":
            self.report.read(number, read_file_line(bang))
        match find(bang, in_file=True).name:
            case "set":
                self.session.set_default(in_place(bang))
            case "switch":
                self.session.switch(argument(bang, "a model"))
            case "mask":
                self._mask(number, read_selection(bang, self.session.defaults))
            case "verify" if not self.dry_run:
                self._verify(number, argument(bang, "a picture"))
            case "fix":
                self._fix(number, bang)
            case "quit":
                return False
        return True

    def _mask(self, number: int, selection: Selection) -> None:
        if not self.dry_run:
            for event in self._allowed(self.session.mask(selection)):
                self.report.event(number, event)

    def _fix(self, number: int, bang: Bang) -> None:
        try:
            found = plans(self.session, bang)
        except InvokeError:
            self.report.read(number, read_file_line(bang))
            raise
        for plan in found:
            self._make(number, plan)

    def _verify(self, number: int, path: str) -> None:
        for event in self._allowed(verify(self.session.engine, path)):
            if isinstance(event, Verdict):
                self.report.verdict(number, path, event)
                self.failed += event.kind == "different"

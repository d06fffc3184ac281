"""Repl: a line in, pictures or words out, and what the next prompt starts with."""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.errors import CommandError, InvokeError, unexpected
from invoke.language.command_table import AGAIN, NUMBER, by_command
from invoke.language.parse import CommandCall, Draft, Nothing, Quit, read
from invoke.language.plan import Plan
from invoke.session import Session
from invoke.shell.history import History
from invoke.shell.terminal import Terminal

if TYPE_CHECKING:  # the prompt need not wait for these
    from invoke.commands.verify import Verdict
    from invoke.events import Event

log = logging.getLogger(__name__)

_NOT_KEPT = (NUMBER, AGAIN, "history", "search", "quit")


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands on a prompt before anything is typed, and where the cursor is; None: at the end."""

    text: str = ""
    column: int | None = None


class Repl:
    """Runs lines and commands at the terminal (`commands.context.PromptContext`); knows no keyboard."""

    dry_run = stopped = False

    def __init__(self, session: Session, terminal: Terminal, history: History, log_file: str = "") -> None:
        self.session = session
        self.terminal = terminal
        self.history = history
        self.is_leaving = False
        self.in_file = False
        self._number: int | None = None
        """Of the line in the history, shown beside its pictures."""
        self._log_file = log_file
        self._entry = Entry()

    def put_back(self, text: str, column: int | None = None) -> None:
        """Have the next prompt start with `text`."""
        self._entry = Entry(text, column)

    def take_entry(self) -> Entry:
        """What the next prompt starts with; asked twice, it is empty."""
        entry, self._entry = self._entry, Entry()
        return entry

    def submit(self, line: str) -> None:
        """A line that the user has entered: kept in the history, then run. It comes back when it fails."""
        self._number = self.history.keep(line) if _is_kept(line) else None
        error = self.try_run(line)
        if error is not None:
            self.put_back(line, error.column)

    def try_run(self, line: str) -> InvokeError | None:
        """Run `line`, report its error, and return that. KeyboardInterrupt passes."""
        try:
            self.run(line)
        except InvokeError as error:
            self.terminal.error(error, line)
            return error
        except Exception as error:  # our mistake; the session goes on
            log.exception("%s", line)
            failure = unexpected(error, self._log_file)
            self.terminal.error(failure, line)
            return failure
        return None

    def run(self, line: str) -> None:
        """Run `line`. Raises InvokeError."""
        match read(line):
            case Nothing():
                pass
            case Quit():
                self.leave()
            case CommandCall() as bang:
                from invoke.commands import run_at_prompt  # the prompt need not wait for all that they need

                run_at_prompt(self, bang)
            case Draft() as draft:
                self.make(draft, lambda: [self.session.resolve(draft)])

    # what commands ask for: commands.context

    @property
    def columns(self) -> int | None:
        return self.terminal.columns

    def say(self, text: str) -> None:
        self.terminal.say(text)

    def confirm(self, text: str) -> None:
        self.terminal.say(text)

    def note(self, text: str) -> None:
        self.terminal.note(text)

    def fail(self, error: InvokeError) -> None:
        self.terminal.error(error, "")

    def ask(self, question: str) -> bool:
        return self.terminal.ask(question)

    def watch(self, events: "Generator[Event, None, None] | Generator[Event | Verdict, None, None]") -> None:
        from invoke.shell.watch import watch

        watch(self.session, events, self.terminal)

    def make(self, typed: Draft, plans: Callable[[], Sequence[Plan]]) -> None:
        from invoke.shell.watch import make

        for plan in plans():
            make(self.session, plan, self.terminal, self._number)

    def make_files(self, outdir: str, column: int | None, events: "Callable[[], Generator[Event, None, None]]") -> None:
        self.watch(events())

    def leave(self) -> None:
        self.is_leaving = True

    def replay(self, line: str) -> bool:
        return self.try_run(line) is None

    @contextmanager
    def replaying(self) -> Iterator[None]:
        self.in_file = True
        try:
            yield
        finally:
            self.in_file = self.is_leaving = False


def _is_kept(line: str) -> bool:
    """Whether it gets a number: not comments, nor what lists or recalls other lines, nor the words to leave with."""
    try:
        parsed = read(line)
    except CommandError:
        return True
    match parsed:
        case Nothing() | Quit():
            return False
        case CommandCall(name):
            row = by_command().get(NUMBER if name.isdecimal() else name)
            return row is None or row.name not in _NOT_KEPT
    return True

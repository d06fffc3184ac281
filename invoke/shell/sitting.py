"""One sitting at the terminal: a line in, pictures or words out, and what the next prompt starts with."""

import logging
from dataclasses import dataclass

from invoke.command.commands import AGAIN, NUMBER, by_command
from invoke.command.draft import Bang, Draft, Nothing, Quit
from invoke.command.parse import read
from invoke.errors import CommandError, InvokeError, unexpected
from invoke.session import Session
from invoke.shell.history import History
from invoke.shell.terminal import Terminal

log = logging.getLogger(__name__)

_NOT_KEPT = (NUMBER, AGAIN, "history", "search", "quit")


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands on a prompt before anything is typed, and where the cursor is; None: at the end."""

    text: str = ""
    column: int | None = None


class Sitting:
    """Everything that a command may need; knows no keyboard."""

    def __init__(self, session: Session, terminal: Terminal, history: History, log_file: str = "") -> None:
        self.session = session
        self.terminal = terminal
        self.history = history
        self.leaving = False
        self.replaying = False
        self.number: int | None = None
        """Of the line in the history, which the pictures are shown under."""
        self._log_file = log_file
        self._entry = Entry()

    def put_back(self, text: str, column: int | None = None) -> None:
        """Have the next prompt start with `text`."""
        self._entry = Entry(text, column)

    def take_entry(self) -> Entry:
        """What the next prompt starts with; asked twice, it is empty."""
        entry, self._entry = self._entry, Entry()
        return entry

    def enter(self, line: str) -> None:
        """A line that the user has entered: kept in the history, then run. It comes back when it fails."""
        self.number = self.history.keep(line) if _is_kept(line) else None
        error = self.attempt(line)
        if error is not None:
            self.put_back(line, error.column)

    def attempt(self, line: str) -> InvokeError | None:
        """Run `line`, say what went wrong, and return that. KeyboardInterrupt passes."""
        try:
            self.run(line)
        except InvokeError as error:
            self.terminal.error(error, line)
            return error
        except Exception as error:  # our mistake; the sitting goes on
            log.exception("%s", line)
            failure = unexpected(error, self._log_file)
            self.terminal.error(failure, line)
            return failure
        return None

    def run(self, line: str) -> None:
        """Do what `line` says. Raises InvokeError."""
        match read(line):
            case Nothing():
                pass
            case Quit():
                self.leaving = True
            case Bang() as bang:
                from invoke.shell import commands  # the prompt need not wait for all that they need

                commands.run(self, bang)
            case Draft() as draft:
                from invoke.shell.make import make

                make(self.session, self.session.resolve(draft), self.terminal, self.number)


def _is_kept(line: str) -> bool:
    """Whether it gets a number: not comments, nor what lists or recalls other lines, nor the words to leave with."""
    try:
        wish = read(line)
    except CommandError:
        return True
    match wish:
        case Nothing() | Quit():
            return False
        case Bang(name):
            row = by_command().get(NUMBER if name.isdecimal() else name)
            return row is None or row.name not in _NOT_KEPT
    return True

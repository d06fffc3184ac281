"""Repl: runs lines and commands, and sets the text of the next prompt."""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING

from invoke.errors import CommandError, InvokeError, unexpected
from invoke.language.command_table import NUMBER, by_command, find
from invoke.language.parse import CommandCall, Draft, Nothing, Quit, read
from invoke.language.plan import Plan
from invoke.language.resolve.init_image import address_of, is_reference
from invoke.language.seeds import DrawSeed, random_seed
from invoke.session import Session
from invoke.shell.history import History
from invoke.shell.terminal import Terminal

if TYPE_CHECKING:  # imported later, so that the prompt opens faster
    from invoke.events import Event, Pixels
    from invoke.shell.lines import Lines
    from invoke.shell.queue import Queue
    from invoke.shell.watch import Watched, Watcher

log = logging.getLogger(__name__)

HELP_WORDS = ("help", "?", "-h", "--help", "-?")
"""Words that users type to get help."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The initial text of a prompt, and the cursor's column; None: at the end."""

    text: str = ""
    column: int | None = None


class Repl:
    """Runs lines and commands (`commands.context.PromptContext`); independent of the keyboard.

    With `lines`, a line is planned now and queued; its pictures are made later.
    """

    dry_run = stopped = False

    def __init__(  # noqa: PLR0913 - the last two by keyword
        self,
        session: Session,
        terminal: Terminal,
        history: History,
        log_file: str = "",
        *,
        watcher: "Watcher",
        lines: "Lines | None" = None,
    ) -> None:
        self.session = session
        self.terminal = terminal
        self.history = history
        self.is_leaving = False
        self.in_file = False
        self.number: int | None = None
        """The line's number in the history, shown with its pictures."""
        self._log_file = log_file
        self._entry = Entry()
        self._watcher, self._lines = watcher, lines

    def put_back(self, text: str, column: int | None = None) -> None:
        """Put `text` on the next prompt."""
        self._entry = Entry(text, column)

    def take_entry(self) -> Entry:
        """Take the initial text of the next prompt, which is then empty."""
        entry, self._entry = self._entry, Entry()
        return entry

    def submit(self, line: str) -> None:
        """Save an entered line in the history and run it. If it fails, it is put back on the prompt."""
        self.number = self.history.keep(line) if _is_kept(line) else None
        if self.number is not None:
            self.session.begin_line(self.number)
        error = self.try_run(line)
        if error is not None and error.code != "bare_command":  # do not put back `ls`
            self.put_back(line, error.column)

    def try_run(self, line: str) -> InvokeError | None:
        """Run `line`; report and return its error. KeyboardInterrupt passes."""
        return self.attempt(lambda: self.run(line), line)

    def attempt(self, action: Callable[[], None], line: str, number: int | None = None) -> InvokeError | None:
        """Run `action` for `line`; report its error, with the line's number if given, and return it.

        KeyboardInterrupt passes.
        """
        try:
            action()
        except InvokeError as error:
            self.terminal.error(error, line, number)
            return error
        except Exception as error:  # a bug; the session continues
            log.exception("%s", line)
            failure = unexpected(error, self._log_file)
            self.terminal.error(failure, line, number)
            return failure
        return None

    def run(self, line: str) -> None:
        """Run `line`. Raises InvokeError."""
        match read("!help" if line.strip().lower() in HELP_WORDS else line):
            case Nothing():
                pass
            case Quit():
                self.leave()
            case CommandCall() as call:
                self._run_command(line, call)
            case Draft() as draft:
                if self._lines is None:
                    self.make(draft, lambda draw_seed: [self.session.resolve(draft, draw_seed)])
                else:
                    self._lines.plan(draft, line, self.number)

    def _run_command(self, line: str, call: CommandCall) -> None:
        from invoke.commands import run_at_prompt  # imported later, so that the prompt opens faster

        turn = find(call).turn
        if self._lines is None or turn == "now" or (turn == "made" and self._is_made(call, self._lines)):
            run_at_prompt(self, call)
        elif turn == "beside":
            number = self.number
            run_in_thread(lambda: self.attempt(lambda: run_at_prompt(self, call), line, number))
        else:
            self._lines.put_command(line, self.number)

    def _is_made(self, call: CommandCall, lines: "Lines") -> bool:
        """Whether all pictures that the command refers to exist already."""
        words = call.rest.split()
        return lines.queue.is_empty or not any(is_reference(word) or address_of(word) is not None for word in words)

    # the context of commands: commands.context

    @property
    def columns(self) -> int | None:
        return self.terminal.columns

    def say(self, text: str) -> None:
        if self.in_file:
            self.terminal.say(text)
        else:
            self.terminal.answer(text)

    def confirm(self, text: str) -> None:
        self.terminal.say(text)

    def note(self, text: str) -> None:
        self.terminal.note(text)

    def fail(self, error: InvokeError) -> None:
        self.terminal.error(error, "")

    def ask(self, question: str) -> bool:
        return self.terminal.ask(question)

    def draw(self, image: "Pixels") -> None:
        self.terminal.draw(image)

    def watch(self, events: "Watched") -> None:
        self._watcher.watch(events)

    def make(self, typed: Draft, plans: Callable[[DrawSeed], Sequence[Plan]]) -> None:
        from invoke.shell.watch import announce

        for plan in plans(random_seed):
            announce(plan, self.terminal)
            if self._lines is None:
                self._watcher.draw(plan, self.number)
            else:
                self._lines.put(plan, typed.line, self.number)

    @property
    def queue(self) -> "Queue | None":
        return None if self._lines is None else self._lines.queue

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


def run_in_thread(action: Callable[[], object]) -> None:
    """Run something that may ask a question or take long in a thread."""
    Thread(target=action, name="command", daemon=True).start()


def _is_kept(line: str) -> bool:
    """Whether a line is saved: not comments, commands that list or recall lines, or words to leave."""
    try:
        parsed = read(line)
    except CommandError:
        return True
    match parsed:
        case Nothing() | Quit():
            return False
        case CommandCall(name):
            row = by_command().get(NUMBER if name.isdecimal() else name)
            return row is None or row.numbered
    return True

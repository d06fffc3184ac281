"""A conversation with the shell: lines in, output out. No terminal, no model."""

import io
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from invoke.errors import ExitStatus
from invoke.models import read_registry
from invoke.session import Session
from invoke.shell.app import loop
from invoke.shell.history import History
from invoke.shell.interrupts import at_sigint
from invoke.shell.progress import Progress
from invoke.shell.repl import Entry, Repl
from invoke.shell.terminal import Terminal
from invoke.shell.watch import Watcher
from tests.fakes import FakeEngine

Typed = str | list[str] | type[BaseException] | Callable[[Entry], str]
"""A line, several pasted at once, an end or interruption, or what is made of the line that stands there."""


class Screen(io.StringIO):
    """A terminal to write to."""

    def isatty(self) -> bool:
        return True


class Script:
    """Types the given lines, then quits with Ctrl-D."""

    def __init__(self, typed: Iterable[Typed]) -> None:
        self.typed = list(typed)
        self.entries: list[Entry] = []
        self.ahead = False
        self.forgotten = 0
        self.closed = False
        self.shown: Callable[[], None] = lambda: None

    def with_parts(self, *, shown: Callable[[], None], **parts: object) -> "Script":
        """Itself, in the place of `prompt.Prompt`."""
        self.shown = shown
        return self

    def read(self, entry: Entry) -> Sequence[str]:
        if not self.entries:
            self.shown()
        self.entries.append(entry)
        typed = self.typed.pop(0) if self.typed else EOFError
        if isinstance(typed, type):
            raise typed
        if callable(typed):
            typed = typed(entry)
        return [typed] if isinstance(typed, str) else typed

    def ask(self, question: str) -> bool:
        return False

    def has_typed_ahead(self) -> bool:
        return self.ahead

    def forget_typed(self) -> None:
        self.forgotten += 1

    def close(self) -> None:
        self.closed = True


class Talk:
    """One session in `folder`; `out` and `err` are the output since they were last read."""

    def __init__(self, folder: Path, engine: FakeEngine | None = None, history: Path | None = None) -> None:
        self.folder = folder
        self.engine = engine or FakeEngine()
        models = folder / "models.yaml"
        self.session = Session(
            self.engine,
            read_registry(models),
            launch={"outdir": str(folder / "out"), "steps": 2},
            models_file=models,
        )
        self._out, self._err = io.StringIO(), io.StringIO()
        terminal = Terminal(self._out, self._err)
        terminal.ask = self._answer
        self.answers: list[bool] = []
        """Answers to the next questions; no to all later ones."""
        self.questions: list[str] = []
        self.repl = Repl(
            self.session,
            terminal,
            History(history),
            str(folder / "errors.log"),
            watcher=Watcher(self.session, terminal, partial(Progress, terminal), partial(at_sigint, self.engine)),
        )
        self.script = Script([])

    def type(self, *typed: Typed, ahead: bool = False) -> ExitStatus:
        """Enter all of `typed`, then quit."""
        self.script = Script(typed)
        self.script.ahead = ahead
        self.repl.is_leaving = False
        return loop(self.repl, self.script)

    def _answer(self, question: str) -> bool:
        self.questions.append(question)
        return self.answers.pop(0) if self.answers else False

    @property
    def out(self) -> str:
        return _taken(self._out)

    @property
    def err(self) -> str:
        return _taken(self._err)

    @property
    def entry(self) -> Entry:
        """What the prompt began with after the last line."""
        return self.script.entries[-1]

    @property
    def lines(self) -> list[str]:
        return self.repl.history.lines


def _taken(stream: io.StringIO) -> str:
    text = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return text

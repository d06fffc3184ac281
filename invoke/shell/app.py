"""The parts of the shell, put together, and its main loop: read, run, again."""

import sys
from collections.abc import Sequence
from typing import Protocol

import invoke
from invoke.errors import ExitStatus, InvokeError
from invoke.language.launch_options import EditingKeys, Preview
from invoke.models import DEFAULT_MODEL
from invoke.paths import HISTORY, keep_log, state_folder
from invoke.session import Session
from invoke.shell.completer import sources
from invoke.shell.history import History
from invoke.shell.interrupts import held_keys
from invoke.shell.prompt import Prompt
from invoke.shell.repl import Entry, Repl
from invoke.shell.terminal import Terminal
from invoke.shell.toolbar import is_settled, toolbar, why_not_loaded


def run(
    session: Session, *, history: bool = True, editing_mode: EditingKeys = "emacs", preview: Preview = "auto"
) -> ExitStatus:
    """Talk with the person at the terminal until they leave. The model is loaded once the prompt is there."""
    terminal = Terminal(sys.stdout, sys.stderr, preview)
    session.watched = terminal.shows_pictures
    folder = state_folder()
    log_file = keep_log()
    kept = History(folder / HISTORY if history else None)
    repl = Repl(session, terminal, kept, log_file)
    prompt = Prompt(
        history=kept,
        sources=lambda: sources(session),
        resolve=session.resolve,
        toolbar=lambda line: toolbar(line, session),
        changing=lambda: not is_settled(session),
        say=terminal.say,
        editing_keys=editing_mode,
        shown=lambda: _load(session, terminal),
        news=lambda: why_not_loaded(session),
    )
    terminal.ask = prompt.ask
    _greet(session, terminal, kept)
    try:
        return loop(repl, prompt)
    finally:
        prompt.close()


def _load(session: Session, terminal: Terminal) -> None:
    """Begin to load the model; one that cannot be had is told, and keeps nobody from typing."""
    try:
        session.engine.load(session.model)
    except InvokeError as error:
        terminal.error(error, "")


def _greet(session: Session, terminal: Terminal, history: History) -> None:
    terminal.say(f"invoke-shell {invoke.__version__} · model {session.model} · !help shows what can be typed")
    if session.model == DEFAULT_MODEL:
        terminal.say("pocket is a small demonstration model that needs no download; !models lists the others")
    if history.note:
        terminal.note(history.note)


class LineReader(Protocol):
    """Where lines come from: `prompt.Prompt`, or a list in a test."""

    def read(self, entry: Entry) -> Sequence[str]: ...

    def has_typed_ahead(self) -> bool: ...

    def forget_typed(self) -> None: ...


def loop(repl: Repl, prompt: LineReader) -> ExitStatus:
    """Run what is entered until the user leaves. Ctrl-C never does."""
    with held_keys():
        while not repl.is_leaving:
            try:
                lines = prompt.read(repl.take_entry())
            except KeyboardInterrupt:
                continue
            except EOFError:
                break
            try:
                for line in lines:
                    repl.submit(line)
            except KeyboardInterrupt:
                prompt.forget_typed()
            if prompt.has_typed_ahead():
                repl.take_entry()  # what was typed meanwhile must not end up inside a line that comes back
    return ExitStatus.OK

"""Assembles the shell and runs its main loop."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import invoke
from invoke import signals
from invoke.errors import ExitStatus, InvokeError
from invoke.language.launch_options import EditingKeys, Preview
from invoke.models import DEFAULT_MODEL
from invoke.paths import HISTORY, keep_log, state_folder
from invoke.session import Session
from invoke.shell.completer import sources
from invoke.shell.held_keys import held_keys
from invoke.shell.history import History
from invoke.shell.interrupts import at_sigint
from invoke.shell.pager import pager
from invoke.shell.plain_prompt import PlainPrompt
from invoke.shell.progress import Progress
from invoke.shell.repl import Entry, Repl
from invoke.shell.terminal import Terminal, is_dumb
from invoke.shell.toolbar import Toolbar, is_settled, why_not_loaded
from invoke.shell.watch import Watcher

if TYPE_CHECKING:
    from invoke.shell.queue_shell import QueueShell


def run(  # noqa: PLR0913 - all but the first by keyword
    session: Session,
    *,
    history: bool = True,
    editing_mode: EditingKeys = "emacs",
    preview: Preview = "auto",
    queue: bool = True,
    osc: bool = True,
    bell: bool = True,
    pages: bool = True,
) -> ExitStatus:
    """Run the shell until the user leaves. The model is loaded once the prompt is shown.

    With `queue`, lines can be typed while pictures are made, on terminals that support it; with `pages`, long output is
    shown in the user's pager.
    """
    log_file = keep_log()
    kept = History(state_folder() / HISTORY if history else None)
    if queue and sys.stderr.isatty() and not is_dumb():
        from invoke.shell.queue_shell import QueueShell

        shell = QueueShell(session, preview, osc=osc, bell=bell)
        shell.terminal.pager = _pager() if pages else ()
        return _run_with_queue(session, kept, log_file, editing_mode, shell)
    terminal = Terminal(sys.stdout, sys.stderr, preview)
    terminal.pager = _pager() if pages else ()
    return _run_plain(session, kept, log_file, editing_mode, terminal)


def _pager() -> tuple[str, ...]:
    """The pager's command; empty if it could not read keys or draw."""
    has_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    return pager(os.environ) if has_terminal and not is_dumb() else ()


def _run_with_queue(
    session: Session, history: History, log_file: str, editing_mode: EditingKeys, shell: "QueueShell"
) -> ExitStatus:
    session.watched = shell.terminal.shows_pictures
    _greet(session, shell.terminal, history)
    with signals.as_flags(interactive=True):
        shell.run(
            history, log_file, editing_mode, lambda: _load(session, shell.terminal), lambda: why_not_loaded(session)
        )
    return ExitStatus.OK


def _run_plain(
    session: Session, history: History, log_file: str, editing_mode: EditingKeys, terminal: Terminal
) -> ExitStatus:
    """The plain prompt: one line after another, without typing while a picture is made."""
    session.watched = terminal.shows_pictures
    watcher = Watcher(session, terminal, partial(Progress, terminal), partial(at_sigint, session.engine))
    repl = Repl(session, terminal, history, log_file, watcher=watcher)
    prompt = PlainPrompt(
        history=history,
        sources=lambda: sources(session),
        resolve=session.resolve,
        toolbar=Toolbar(session, session.context),
        changing=lambda: not is_settled(session),
        say=terminal.say,
        editing_keys=editing_mode,
        shown=lambda: _load(session, terminal),
        news=lambda: why_not_loaded(session),
    )
    terminal.ask = prompt.ask
    _greet(session, terminal, history)
    try:
        return loop(repl, prompt)
    finally:
        prompt.close()


def _load(session: Session, terminal: Terminal) -> None:
    """Start loading the model; an error is shown, but does not prevent typing."""
    try:
        session.engine.load(session.model)
    except InvokeError as error:
        terminal.error(error, "")


def _greet(session: Session, terminal: Terminal, history: History) -> None:
    terminal.say(f"invoke-shell {invoke.__version__} · model {session.model} · !help lists what you can type")
    if session.model == DEFAULT_MODEL:
        terminal.say("pocket is a small demonstration model that needs no download; !models lists the others")
    if history.note:
        terminal.note(history.note)


class LineReader(Protocol):
    """A source of lines: `plain_prompt.PlainPrompt`, or a list in a test."""

    def read(self, entry: Entry) -> Sequence[str]: ...

    def has_typed_ahead(self) -> bool: ...

    def forget_typed(self) -> None: ...


def loop(repl: Repl, prompt: LineReader) -> ExitStatus:
    """Run entered lines until the user leaves. Ctrl-C does not leave."""
    with signals.as_flags(interactive=True), held_keys():
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
                    signals.check()
            except KeyboardInterrupt:
                prompt.forget_typed()
            if prompt.has_typed_ahead():
                repl.take_entry()  # text typed ahead must not be mixed with a line that is put back
    return ExitStatus.OK

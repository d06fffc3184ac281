"""The shell's parts, put together."""

import sys

import invoke
from invoke.errors import ExitStatus, InvokeError
from invoke.home.state import HISTORY, keep_log, state_folder
from invoke.launch import EditingKeys, Preview
from invoke.models import DEFAULT_MODEL
from invoke.session import Session
from invoke.shell.history import History
from invoke.shell.loop import loop
from invoke.shell.offer import sources
from invoke.shell.prompt import Prompt
from invoke.shell.sitting import Sitting
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
    sitting = Sitting(session, terminal, kept, log_file)
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
        return loop(sitting, prompt)
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

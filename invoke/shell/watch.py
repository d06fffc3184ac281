"""An engine run, watched by the person who typed the line: bar, previews, downloads, Ctrl-C."""

from collections.abc import Generator
from contextlib import closing

from invoke.commands.verify import Verdict
from invoke.events import Downloading, DownloadRequired, Event, Freed, Note, Saved, Started, Step
from invoke.language.plan import Plan
from invoke.models.hub.consent import declined, described, size_shown
from invoke.outputs.speeds import measured
from invoke.session import Session
from invoke.shell.interrupts import GivenUp, Stop
from invoke.shell.progress import Progress
from invoke.shell.terminal import Terminal
from invoke.shell.toolbar import engine_state, is_ready
from invoke.text import counted

FACTS = 4
"""How many parts of a summary fit on one line: mode and sizes, steps, the hole, variations."""


def make(session: Session, plan: Plan, terminal: Terminal, number: int | None) -> None:
    """Run `plan` and show what comes of it; `number` is the line's in the history.

    Raises InvokeError, and KeyboardInterrupt when Ctrl-C has stopped it; what is finished is kept either way.
    """
    terminal.say((" · " if len(plan.summary) <= FACTS else "\n").join(plan.summary))
    for text in plan.notes:
        terminal.note(text)
    before = len(session.made)
    try:
        watch(session, measured(session.run(plan)), terminal, plan.count, number)
    except KeyboardInterrupt:
        terminal.say(f"{len(session.made) - before} of {counted(plan.count, 'picture')} made")
        raise


def watch(
    session: Session,
    running: Generator[Event, None, None] | Generator[Event | Verdict, None, None],
    terminal: Terminal,
    count: int = 1,
    number: int | None = None,
) -> None:
    """Show every event of `running`, which makes `count` pictures under line `number`; stop at Ctrl-C.

    Raises what `running` raises, and KeyboardInterrupt.
    """
    fetching = False
    try:
        with Progress(terminal, count) as progress, Stop(progress.stopping) as stop, closing(running) as events:
            if not is_ready(session):
                progress.wait(engine_state(session))
            for event in events:
                stop.drawing = stop.drawing or isinstance(event, Started)
                _show(event, progress, terminal, number)
                fetching = isinstance(event, Downloading) and event.total_mb > 0
                if isinstance(event, DownloadRequired):
                    _agree(event, session, terminal)
                # a picture that is finished is saved before anything stops
                if stop.asked and isinstance(event, Started | Step):
                    break
            if stop.asked:
                raise KeyboardInterrupt
    except GivenUp:
        _start_anew(session)
        terminal.say("given up; the engine starts anew")
        raise
    except KeyboardInterrupt:
        terminal.say("stopped; what is fetched is kept, another try goes on from there" if fetching else "stopped")
        raise


def _agree(required: DownloadRequired, session: Session, terminal: Terminal) -> None:
    """Raises ModelError where the user does not want the download."""
    if session.downloads:
        terminal.say(f"fetching: {described(required)}")
    elif not terminal.ask(f"{described(required)}, download?"):
        raise declined(required)


def _show(event: Event | Verdict, progress: Progress, terminal: Terminal, number: int | None) -> None:
    match event:
        case Verdict():
            terminal.say(str(event))
        case Saved(path, "image", line):
            terminal.picture(number, path, line)
        case Saved(path, kind) if kind != "step":
            with progress.above():
                terminal.say(f"    {kind}  {path}")
        case Freed(device, before, after):
            with progress.above():
                terminal.say(_given_back(device, before, after))
        case Note(text):
            progress.note(text)
        case _:
            progress.show(event)


def _given_back(device: str, before: int, after: int) -> str:
    if before - after < 1e6:
        return "nothing is loaded that could be given back"
    back, left = (size_shown(number / 1e6) for number in (before - after, after))
    return f"{back} of memory given back, the engine itself keeps {left} ({device}); the next line loads its model"


def _start_anew(session: Session) -> None:
    """Leave the engine to what it is doing, and have another one load the model."""
    session.engine.kill()
    session.engine.load(session.model)

"""Runs the engine for a typed line, with bar, previews, download questions and Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Protocol

from invoke import signals
from invoke.commands.verdict import Verdict
from invoke.errors import InvokeError
from invoke.events import Downloading, DownloadRequired, Event, Freed, Note, Saved, Started, Step
from invoke.language.plan import Plan
from invoke.models.hub.consent import declined, described, size_shown
from invoke.outputs.filenames import seed_shown
from invoke.outputs.speeds import measured
from invoke.session import Session
from invoke.shell.interrupts import Interrupt
from invoke.shell.terminal import Terminal
from invoke.shell.toolbar import is_ready
from invoke.text import counted

Watched = Generator[Event, None, None] | Generator[Event | Verdict, None, None]

FACTS = 4
"""How many entries of a summary go into one line: mode and size, steps, hole, variations."""


class Shown(Protocol):
    """Displays a run: `progress.Progress`, or the board of the prompt with a queue."""

    def __enter__(self) -> Shown: ...

    def __exit__(self, *error: object) -> None: ...

    def wait(self, state: str) -> None: ...

    def show(self, event: Event) -> None: ...

    def above(self) -> AbstractContextManager[None]: ...

    def stopping(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Watcher:
    """Runs the engine for one kind of prompt."""

    session: Session
    terminal: Terminal
    shown: Callable[[int], Shown]
    """Makes the display for a number of pictures."""
    interrupt: Callable[[Callable[[], None]], AbstractContextManager[Interrupt]]
    """Makes the handler of Ctrl-C, which calls its argument when the current step still has to finish."""

    def watch(self, running: Watched, count: int = 1, number: int | None = None) -> None:
        """Show every event of `running`, which makes `count` pictures under line `number`; stop at Ctrl-C.

        Raises what `running` raises, and KeyboardInterrupt.
        """
        downloading, address = False, Address(number, count)
        stop: Interrupt | None = None
        try:
            with self.shown(count) as shown, self.interrupt(shown.stopping) as stop, closing(running) as events:
                if not is_ready(self.session):
                    shown.wait(str(self.session.engine.state))
                try:
                    for event in events:
                        signals.check()
                        stop.drawing = stop.drawing or isinstance(event, Started)
                        self._show(event, shown, address)
                        downloading = isinstance(event, Downloading) and event.total_mb > 0
                        if isinstance(event, DownloadRequired):
                            self._agree(event)
                        # save a finished picture before stopping
                        if stop.asked and isinstance(event, Started | Step):
                            break
                except InvokeError:
                    if not stop.killed:
                        raise
                if stop.asked:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            if stop is not None and stop.killed:
                self.session.engine.load(self.session.model)
                self.terminal.say("aborted; restarting the engine")
            else:
                kept = "; the partial download is kept, retry to resume" if downloading else ""
                self.terminal.say(f"stopped{kept}")
            raise

    def draw(self, plan: Plan, number: int | None) -> None:
        """Make the pictures of `plan`, of line `number` in the history.

        Raises InvokeError, and KeyboardInterrupt if Ctrl-C stopped it; finished pictures are kept either way.
        """
        before = len(self.session.made)
        try:
            self.watch(measured(self.session.run(plan)), plan.count, number)
        except KeyboardInterrupt:
            self.terminal.say(f"{len(self.session.made) - before} of {counted(plan.count, 'picture')} made")
            raise

    def _agree(self, download: DownloadRequired) -> None:
        """Ask for consent to a download. Raises ModelError if the user declines."""
        if self.session.downloads:
            self.terminal.say(f"downloading: {described(download)}")
        elif not self.terminal.ask(f"{described(download)}, download?"):
            raise declined(download)

    def _show(self, event: Event | Verdict, shown: Shown, address: Address) -> None:
        match event:
            case Verdict():
                self.terminal.say(str(event))
            case Saved(path, "image", line, request):
                self.terminal.picture(address.next(), path, line)
                if address.number is not None and request is not None:
                    self.session.remember_line(address.number, path, seed_shown(request))
            case Saved(path, kind) if kind != "step":
                with shown.above():
                    self.terminal.say(f"    {kind}  {path}")
            case Freed(device, before, after):
                with shown.above():
                    self.terminal.say(_given_back(device, before, after))
            case Note(text):
                with shown.above():
                    self.terminal.note(text)
            case _:
                shown.show(event)


@dataclass(slots=True)
class Address:
    """The addresses of a line's pictures: `12`, or `12.1`, `12.2` if there are several."""

    number: int | None
    count: int
    shown: int = 0

    def next(self) -> str:
        self.shown += 1
        if self.number is None:
            return ""
        return f"{self.number}.{self.shown}" if self.count > 1 else str(self.number)


def announce(plan: Plan, terminal: Terminal) -> None:
    """Print what `plan` will do."""
    terminal.say((" · " if len(plan.summary) <= FACTS else "\n").join(plan.summary))
    for text in plan.notes:
        terminal.note(text)


def _given_back(device: str, before: int, after: int) -> str:
    if before - after < 1e6:
        return "no models are loaded"
    back, left = (size_shown(number / 1e6) for number in (before - after, after))
    return f"{back} freed, the engine itself keeps {left} ({device}); the next line loads its model"

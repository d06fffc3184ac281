"""Assembles the prompt with a queue: keys and planning in the main thread, pictures in the queue's thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TextIO, cast

from prompt_toolkit.output import ColorDepth

from invoke.errors import InvokeError
from invoke.events import Event, Finished
from invoke.language.launch_options import EditingKeys, Preview
from invoke.session import Session
from invoke.shell.completer import sources
from invoke.shell.editor import Editor
from invoke.shell.escapes import Signs, features
from invoke.shell.history import History
from invoke.shell.interrupts import Interrupt
from invoke.shell.lines import Lines
from invoke.shell.preview_inset import SmallPicture
from invoke.shell.progress_board import Board
from invoke.shell.queue import Queue, QueuedLine
from invoke.shell.queue_prompt import QueuePrompt
from invoke.shell.queue_thread import QueueThread
from invoke.shell.repl import Repl
from invoke.shell.steady import Above, SteadyOutput, reflows, settling
from invoke.shell.terminal import Terminal
from invoke.shell.toolbar import Toolbar, is_settled
from invoke.shell.watch import Watcher

FULL_DISK = "disk_full"
LONG = 20.0
"""A line that takes longer than this, in seconds, rings the bell if nothing was typed."""
SWITCH = 0.0005
"""Python's thread switch interval, in seconds: with the default of 5 ms, typing feels slow."""
ENDING = 5.0
"""Seconds for the current step to finish when leaving the shell."""


class OnBoard:
    """Shows a run on the board above the prompt (`watch.Shown`)."""

    def __init__(self, board: Board, picture: SmallPicture, terminal: Terminal, count: int) -> None:
        self._board, self._picture, self._terminal = board, picture, terminal
        board.begin(count)

    def __enter__(self) -> OnBoard:
        return self

    def __exit__(self, *error: object) -> None:
        self._board.clear()

    def wait(self, state: str) -> None:
        self._board.wait(state)

    def show(self, event: Event) -> None:
        version = self._board.version
        self._board.show(event)
        if self._board.version != version:
            self._picture.encode_ahead()
        if isinstance(event, Finished) and (lines := self._picture.lines(event.image)):
            self._terminal.raw(lines)

    @contextmanager
    def above(self) -> Iterator[None]:
        """No-op: everything is written above the prompt."""
        yield

    def stopping(self) -> None:
        self._board.stopping()


class QueueShell:
    """A terminal on which lines can be typed while pictures are made."""

    def __init__(self, session: Session, preview: Preview, *, osc: bool = True, bell: bool = True) -> None:
        """`osc`: links, marks, title and progress, if the terminal supports them; `bell`: after a long line."""
        self.session = session
        self.above = Above(sys.stderr)
        self.terminal = Terminal(cast(TextIO, self.above), cast(TextIO, self.above), preview)
        if osc:
            self.terminal.features = features(os.environ)
        self._board, self._queue = Board(), Queue()
        self._signs = Signs(self.terminal.features, lambda: self._board.status)
        self._bell = bell
        self._last_key: Callable[[], float] = lambda: float("inf")
        depth = ColorDepth.from_env()
        self._output = SteadyOutput.from_pty(sys.stdout, term=os.environ.get("TERM"), default_color_depth=depth)
        self._picture = SmallPicture(self._board, self.terminal.pictures, self._output.get_size)
        self._interrupt = Interrupt(session.engine)
        self._queue.stop_running = self._interrupt.stop

    def run(
        self,
        history: History,
        log_file: str,
        editing_keys: EditingKeys,
        shown: Callable[[], None],
        news: Callable[[], str],
    ) -> None:
        """Run until the user leaves. `shown` is called when the prompt is shown; `news` returns text to print once."""
        session, terminal = self.session, self.terminal
        watcher = Watcher(
            session,
            terminal,
            lambda count: OnBoard(self._board, self._picture, terminal, count),
            self._interrupt.watching,
        )
        working = Repl(session, terminal, history, log_file, watcher=watcher)

        def run_command(line: str, number: int | None) -> None:
            working.number = number
            working.run(line)

        lines = Lines(session, terminal, self._queue, watcher, run_command)
        repl = Repl(session, terminal, history, log_file, watcher=watcher, lines=lines)
        editor = Editor(
            history=history,
            sources=lambda: sources(session),
            resolve=lines.resolve,
            toolbar=Toolbar(session, lines.context),
            editing_keys=editing_keys,
            output=self._output,
        )
        prompt = QueuePrompt(
            editor,
            above=self.above,
            board=self._board,
            queue=self._queue,
            picture=self._picture,
            repl=repl,
            interrupt=self._interrupt,
            is_changing=lambda: not is_settled(session),
            shown=shown,
            news=news,
            reflows=reflows(os.environ),
            settling=settling(os.environ),
            plain=not terminal.draws_lines,
            signs=self._signs,
            marks=terminal.features.marks,
        )
        self._last_key = lambda: prompt.last_key
        terminal.ask = prompt.ask
        terminal.lend = prompt.elsewhere
        worker = QueueThread(self._queue, self._interrupt, lambda line: self._perform(working, line))
        sys.setswitchinterval(SWITCH)
        worker.start()
        try:
            prompt.run()
        finally:
            self._end(worker)

    def _perform(self, working: Repl, line: QueuedLine) -> None:
        """Run one line and report its errors."""
        began = monotonic()
        error = working.attempt(partial(_run, line), line.line, line.number)
        if self._bell and monotonic() - began > LONG and self._last_key() < began:
            self._signs.ring()
        if error is not None and error.code == FULL_DISK:
            if line.number is not None:
                self.session.begin_line(line.number)
            self._queue.pause("the disk is full")
            self._queue.put_first(line)

    def _end(self, worker: QueueThread) -> None:
        """Stop everything and restore the terminal."""
        self._queue.close()
        self._queue.cancel_all()
        worker.join(ENDING)
        if worker.is_alive():
            self.session.engine.kill()
            worker.join(ENDING)
        sys.stderr.write(self.above.take())
        sys.stderr.flush()


def _run(line: QueuedLine) -> None:
    """Do what the line says. Raises InvokeError; where the disk is full it says what becomes of the line."""
    try:
        line.run()
    except InvokeError as error:
        if error.code == FULL_DISK:
            error.hint = "the queue is paused and keeps this line: free some space, then !resume"
        raise

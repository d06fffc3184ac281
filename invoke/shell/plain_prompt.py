"""The plain prompt, which reads lines while nothing else runs: for plain terminals and `--no-queue`."""

import select
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.document import Document
from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import clear_typeahead, get_typeahead, store_typeahead
from prompt_toolkit.output import Output

from invoke import signals
from invoke.language.complete.diagnostics import Resolve
from invoke.language.complete.sources import Sources
from invoke.language.launch_options import EditingKeys
from invoke.shell.editor import Editor, paste_question
from invoke.shell.history import History
from invoke.shell.interrupts import LEAVE_HINT, leaving_at_signals
from invoke.shell.repl import Entry
from invoke.shell.terminal import is_dumb

REDRAWN = 0.5
"""Seconds between redraws of a changing toolbar."""


class PlainPrompt:
    """Reads lines with history, completion and a toolbar.

    `changing` tells whether the toolbar can change without a key press; `shown` is called once, when the first prompt
    is shown; `news` returns text to print above it while it waits, or "".
    """

    def __init__(  # noqa: PLR0913 - parts, by keyword
        self,
        *,
        history: History,
        sources: Callable[[], Sources],
        resolve: Resolve,
        toolbar: Callable[[str], str],
        changing: Callable[[], bool],
        say: Callable[[str], None],
        shown: Callable[[], None] = lambda: None,
        news: Callable[[], str] = lambda: "",
        editing_keys: EditingKeys = "emacs",
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self._say = say
        self._put_back = ""
        """Pasted text that needs confirmation again."""
        self._changing = changing
        self._line = Editor(
            history=history,
            sources=sources,
            resolve=resolve,
            toolbar=toolbar,
            editing_keys=editing_keys,
            input=input,
            output=output,
        )
        self._editor = self._line.session
        self._answers = input, output
        self._shown = shown
        self._news = news
        self._editor.app.after_render += self._register_once

    def _prompt(self, session: PromptSession[str], *words: str, **options: Any) -> str:
        """Prompt for input. Raises EOFError if SIGTERM or SIGHUP ends the program."""
        app = session.app

        def leave() -> None:
            if signals.status() is not None and app.is_running and not app.is_done:
                app.exit(exception=EOFError)

        with leaving_at_signals(lambda: app.loop, leave):
            return session.prompt(*words, pre_run=leave, **options)

    def _question_session(self) -> PromptSession[str]:
        return PromptSession(input=self._answers[0], output=self._answers[1])

    def _register_once(self, application: object = None) -> None:
        shown, self._shown = self._shown, lambda: None
        shown()
        if text := self._news():
            self._news = lambda: ""
            run_in_terminal(lambda: self._say(text))

    def read(self, entry: Entry) -> Sequence[str]:
        """Read a line, starting with `entry`, or several pasted lines.

        Raises KeyboardInterrupt at Ctrl-C, EOFError at Ctrl-D.
        """
        self._line.start_line()
        if self._put_back:
            entry, self._put_back = Entry(self._put_back), ""
            self._line.mark_pasted()
        if is_dumb():
            self._register_once()  # nothing is drawn on a dumb terminal
        if entry.text and is_dumb():  # text on the prompt would not be visible
            self._say(entry.text)
            entry = Entry()
        column = len(entry.text) if entry.column is None else min(entry.column, len(entry.text))
        try:
            text = self._prompt(
                self._editor, default=Document(entry.text, column), refresh_interval=REDRAWN if self._changing() else 0
            )
        except KeyboardInterrupt:
            if not self._editor.default_buffer.text:
                self._say(LEAVE_HINT)
            raise
        finally:
            self._news = lambda: ""  # running the line reports it
            self._keep_pastes_whole()
        lines = self._line.pasted_lines(text)
        try:
            return lines if lines and self._confirm(paste_question(lines)) else [text]
        except KeyboardInterrupt:
            self._put_back = text
            raise

    def ask(self, question: str) -> bool:
        """Ask a yes-or-no question. Keys typed before the question are ignored."""
        self.forget_typed()
        with suppress(ImportError, OSError, ValueError):
            import termios

            termios.tcflush(self._editor.input.fileno(), termios.TCIFLUSH)
        try:
            return self._prompt(self._question_session(), f"{question} [y/N] ").strip().lower() in ("y", "yes")
        finally:
            self._keep_pastes_whole()

    def close(self) -> None:
        """Restore the terminal."""
        if not is_dumb():
            self._editor.output.disable_bracketed_paste()
            self._editor.output.flush()

    def _keep_pastes_whole(self) -> None:
        """Treat lines pasted while the program works as pasted at the next prompt, not as typed."""
        if not is_dumb():
            self._editor.output.enable_bracketed_paste()
            self._editor.output.flush()

    def has_typed_ahead(self) -> bool:
        """Whether there are unread keys."""
        keys = get_typeahead(self._editor.input)
        store_typeahead(self._editor.input, keys)
        try:
            return bool(keys or select.select([self._editor.input.fileno()], [], [], 0)[0])
        except (OSError, ValueError, NotImplementedError):  # not a selectable file, as on Windows
            return False

    def forget_typed(self) -> None:
        """Drop unread keys: after stopping a line, lines typed ahead should not run."""
        clear_typeahead(self._editor.input)

    def _confirm(self, question: str) -> bool:
        return self._prompt(self._question_session(), f"{question} ").strip().lower() not in ("n", "no")

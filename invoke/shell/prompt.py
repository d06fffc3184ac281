"""The prompt that reads one line after another, while nothing else happens: for plain terminals and `--no-queue`."""

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
"""Seconds after which a toolbar that changes by itself is drawn again."""


class Prompt:
    """Reads lines with everything that makes typing pleasant.

    `changing` tells whether the toolbar may become another one without a key being pressed; `shown` is called once,
    when the first prompt is there; `news` is what is to be said above that one while it waits, or "".
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
        """What was pasted and is asked about again."""
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
        """What is entered. Raises EOFError where SIGTERM or SIGHUP ends the program."""
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
        """What the user enters, beginning with `entry`: one line, or several that were pasted.

        Raises KeyboardInterrupt at Ctrl-C, EOFError at Ctrl-D.
        """
        self._line.start_line()
        if self._put_back:
            entry, self._put_back = Entry(self._put_back), ""
            self._line.mark_pasted()
        if is_dumb():
            self._register_once()  # nothing is drawn there
        if entry.text and is_dumb():  # what stands on the prompt would not be seen there
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
            self._news = lambda: ""  # the line that was entered tells it
            self._keep_pastes_whole()
        lines = self._line.pasted_lines(text)
        try:
            return lines if lines and self._confirm(paste_question(lines)) else [text]
        except KeyboardInterrupt:
            self._put_back = text
            raise

    def ask(self, question: str) -> bool:
        """Whether the user says yes. What was typed before the question is no answer to it."""
        self.forget_typed()
        with suppress(ImportError, OSError, ValueError):
            import termios

            termios.tcflush(self._editor.input.fileno(), termios.TCIFLUSH)
        try:
            return self._prompt(self._question_session(), f"{question} [y/N] ").strip().lower() in ("y", "yes")
        finally:
            self._keep_pastes_whole()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if not is_dumb():
            self._editor.output.disable_bracketed_paste()
            self._editor.output.flush()

    def _keep_pastes_whole(self) -> None:
        """Lines that are pasted while the program works are several lines for the next prompt, not typed ones."""
        if not is_dumb():
            self._editor.output.enable_bracketed_paste()
            self._editor.output.flush()

    def has_typed_ahead(self) -> bool:
        """Whether keys were pressed that no prompt has read yet."""
        keys = get_typeahead(self._editor.input)
        store_typeahead(self._editor.input, keys)
        try:
            return bool(keys or select.select([self._editor.input.fileno()], [], [], 0)[0])
        except (OSError, ValueError, NotImplementedError):  # no file that can be asked, as on Windows
            return False

    def forget_typed(self) -> None:
        """Drop keys that were pressed ahead: who stops one line does not want the next."""
        clear_typeahead(self._editor.input)

    def _confirm(self, question: str) -> bool:
        return self._prompt(self._question_session(), f"{question} ").strip().lower() not in ("n", "no")

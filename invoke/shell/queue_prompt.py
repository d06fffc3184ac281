"""The default prompt: one application for the whole session; progress is shown above the input line."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import select
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.layout import ConditionalContainer, Dimension, HSplit, Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.search import stop_search

from invoke import signals
from invoke.shell import escapes
from invoke.shell.editor import PROMPT, Editor, paste_question
from invoke.shell.escapes import Features, Signs
from invoke.shell.interrupts import LEAVE_HINT, Interrupt, leaving_at_signals
from invoke.shell.preview_inset import SmallPicture
from invoke.shell.progress_board import Board
from invoke.shell.queue import Queue
from invoke.shell.repl import Repl
from invoke.shell.steady import Above, SteadyOutput, SteadyRenderer
from invoke.signals import running_time
from invoke.text import clean, counted, fitting

log = logging.getLogger(__name__)

TICK = 0.5
"""Seconds between two frames while something is running."""
SWALLOWED = 2.0
"""After Ctrl-C has ended a line, another Ctrl-C within these seconds is ignored, as it was meant for that line."""
YES_OR_NO = {"y": "yes", "yes": "yes", "n": "no", "no": "no"}
WAIT, CANCEL, STAY = "wait", "cancel", "stay"
WAYS_TO_LEAVE = {"w": WAIT, "wait": WAIT, "c": CANCEL, "cancel": CANCEL, "s": STAY, "stay": STAY}


@dataclass(frozen=True, slots=True)
class Question:
    """A question, answered with a whole line; other lines can still be entered."""

    text: str
    answers: Mapping[str, str]
    """Possible input → meaning."""
    refusal: str
    """The answer given by Ctrl-C."""
    then: Callable[[str], object]


class QueuePrompt:
    """Handles keys, lines and the screen in the main thread. Other threads use `ask`, `above` and the board."""

    def __init__(  # noqa: PLR0913 - parts, by keyword
        self,
        editor: Editor,
        *,
        above: Above,
        board: Board,
        queue: Queue,
        picture: SmallPicture,
        repl: Repl,
        interrupt: Interrupt,
        is_changing: Callable[[], bool] = lambda: False,
        shown: Callable[[], None] = lambda: None,
        news: Callable[[], str] = lambda: "",
        reflows: bool = False,
        settling: float = 0,
        plain: bool = False,
        signs: Signs | None = None,
        marks: bool = False,
    ) -> None:
        session = editor.session
        self._editor, self._session = editor, session
        self._above, self._board, self._queue = above, board, queue
        self._repl, self._interrupt, self._picture = repl, interrupt, picture
        self._is_changing, self._shown, self._news, self._plain = is_changing, shown, news, plain
        self._marks = marks
        self._signs = signs or Signs(Features(), lambda: None)
        self.last_key = float("-inf")
        """Time of the last key."""
        self._questions: deque[Question] = deque()
        self._entered: deque[str] = deque()
        self._leaving_when_done = False
        self._elsewhere = False
        """Whether another program has the terminal."""
        self._context = contextvars.copy_context()
        app = self._app = session.app
        app.max_render_postpone_time = 0  # show keys at once
        app.erase_when_done = True  # text left on the prompt was not entered
        output = session.app.output
        assert isinstance(output, SteadyOutput)
        self._output = output
        app.renderer = SteadyRenderer(
            app.renderer.style, output, above, picture, self._signs.frame, reflows=reflows, settling=settling
        )
        buffer = session.default_buffer
        buffer.accept_handler = self._accept
        picture.needs_room = lambda: buffer.complete_state is not None
        app.layout = Layout(
            Measured(
                [
                    ConditionalContainer(picture.window, Condition(lambda: picture.rows() > 0)),
                    _row(self._status, "class:status"),
                    _row(self._question, "class:question"),
                    session.layout.container,
                ]
            ),
            session.layout.current_window,
        )
        assert app.key_bindings is not None
        app.key_bindings = merge_key_bindings([app.key_bindings, self._keys()])
        above.changed = board.changed = queue.changed = app.invalidate

    # for other threads

    def ask(self, text: str) -> bool:
        """Ask a yes-or-no question and wait. Not for the main thread, which processes the answer."""
        answer: Future[str] = Future()
        self.put(Question(f"{text} [y/N]", YES_OR_NO, "no", answer.set_result))
        return answer.result() == "yes"

    def put(self, question: Question) -> None:
        """Ask, as soon as no other question is open."""
        self._questions.append(question)
        self._app.invalidate()

    def elsewhere(self, program: Callable[[], object]) -> None:
        """Give the terminal to `program`, once it is free; the prompt returns afterwards."""
        loop = self._app.loop
        if loop is not None:
            start = partial(self._app.create_background_task, self._lend(program))
            loop.call_soon_threadsafe(start, context=self._context)

    # the main thread

    async def _lend(self, program: Callable[[], object]) -> None:
        def run() -> None:
            self._elsewhere = True
            try:
                self._output.write_raw(self._above.take().replace("\n", "\r\n"))
                self._output.flush()
                program()
            finally:
                self._elsewhere = False

        await run_in_terminal(run, in_executor=True)

    def run(self) -> None:
        """Run until the user leaves."""
        with leaving_at_signals(lambda: self._app.loop, self._leave_at_signal), suppress(EOFError):
            self._app.run(pre_run=self._start, set_exception_handler=False)  # EOFError: the terminal is gone
        self._output.write_raw(self._signs.close())
        self._output.flush()

    def _leave_at_signal(self) -> None:
        if signals.status() is not None:
            self._exit()

    def _start(self) -> None:
        self._leave_at_signal()
        self._context = contextvars.copy_context()
        self._app.create_background_task(self._tick())
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._report)
        self._app.key_processor.before_key_press += self._note_key
        loop.call_soon(self._shown)

    def _note_key(self, sender: object) -> None:
        self.last_key = monotonic()

    def _report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log a bug in a key binding or in drawing; typing continues."""
        error = context.get("exception")
        log.error("%s", context.get("message"), exc_info=error if isinstance(error, Exception) else None)
        what = f"{type(error).__name__}: {error}" if error else context.get("message")
        self.say(f"internal error: {clean(str(what))}; the log has the details")

    def say(self, text: str) -> None:
        self._above.write(f"{text}\n")

    def _accept(self, buffer: Buffer) -> bool:
        """Handle Enter: an answer, or lines. Returns whether the text stays."""
        text = buffer.text
        question = self._questions[0] if self._questions else None
        if question is not None and (answer := question.answers.get(text.strip().lower())) is not None:
            self._echo(text)
            self._answer(answer)
        elif lines := self._editor.pasted_lines(text):
            self._ask_about_paste(text, lines)
        else:
            self._entered.append(text)
            if len(self._entered) == 1:
                return self._enter_next()
        return False

    def _ask_about_paste(self, text: str, lines: Sequence[str]) -> None:
        def enter(answer: str) -> None:
            if answer == "drop":  # Ctrl-C: keep the text, run nothing
                self._editor.put_back(text)
                return
            self._entered += lines if answer == "yes" else [text]
            self._app.create_background_task(self._enter_all())

        answers = {"": "yes", **YES_OR_NO}
        self._questions.appendleft(Question(paste_question(lines), answers, "drop", enter))

    async def _enter_all(self) -> None:
        """Enter the waiting lines, handling keys in between."""
        while self._entered:
            self._enter_next()
            await asyncio.sleep(0)

    def _enter_next(self) -> bool:
        """Enter the next line; returns whether a line was put on the prompt."""
        text = self._entered[0]
        self._echo(text)
        try:
            self._repl.submit(text)
        finally:
            self._entered.popleft()
            self._editor.start_line()
        entry = self._repl.take_entry()
        if self._repl.is_leaving:
            self._repl.is_leaving = False
            self._leave()
        if not entry.text:
            return False
        if self._entered or self._is_typing():
            if self._repl.number is not None:
                self.say(f"!{self._repl.number} recalls it")
            return False
        column = len(entry.text) if entry.column is None else min(entry.column, len(entry.text))
        self._session.default_buffer.reset(Document(entry.text, column))
        return True

    def _echo(self, text: str) -> None:
        """Print the line above the prompt, as typed."""
        first, *more = text.split("\n")
        rows = [clean(first), *(" " * len(PROMPT) + clean(row) for row in more)]
        before, between, after = (escapes.PROMPT, escapes.INPUT, escapes.OUTPUT) if self._marks else ("", "", "")
        self.say(f"{before}{PROMPT}{between}{chr(10).join(rows)}{after}")

    def _is_typing(self) -> bool:
        """Whether keys are arriving or a line has been started."""
        if self._app.key_processor.input_queue:
            return True
        try:
            return bool(select.select([self._app.input.fileno()], [], [], 0)[0])
        except (OSError, ValueError, NotImplementedError):
            return False

    def _answer(self, answer: str) -> None:
        self._questions.popleft().then(answer)

    def _leave(self) -> None:
        if self._queue.is_empty:
            self._exit()
            return
        if any(question.then == self._leave_as for question in self._questions):
            return  # Ctrl-D again: already asked
        count = len(self._queue.lines)
        text = (
            f"{counted(count, 'line')} not finished: [w]ait for {'it' if count == 1 else 'them'}, [c]ancel or [s]tay?"
        )
        self._questions.appendleft(Question(text, WAYS_TO_LEAVE, STAY, self._leave_as))

    def _leave_as(self, answer: str) -> None:
        self._leaving_when_done = answer in {WAIT, CANCEL}
        if answer == CANCEL:
            self._queue.cancel_all()
        if answer == WAIT:
            self._queue.resume()

    def _exit(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit()

    async def _tick(self) -> None:
        """Redraw regularly while something is running."""
        changing = True
        while True:
            await asyncio.sleep(TICK)
            if self._leaving_when_done and self._queue.is_empty:
                self._exit()
                return
            if text := self._news():
                self._news = lambda: ""
                self.say(clean(text))
            was_changing, changing = changing, self._is_changing()
            if self._board.status is not None or changing or was_changing:  # draw the final state, too
                self._app.invalidate()

    # what is shown

    def _status(self) -> str:
        status, waiting, paused = self._board.status, len(self._queue.waiting), self._queue.paused
        width = self._output.get_size().columns - 1
        tail = ", ".join(([f"{waiting} waiting"] if waiting else []) + ([f"{paused} (!resume)"] if paused else []))
        if status is None:
            return fitting(tail, width)
        if not tail:
            return status.row(width, running_time(), plain=self._plain)
        return fitting(
            f"{status.row(max(20, width - len(tail) - 3), running_time(), plain=self._plain)} · {tail}", width
        )

    def _question(self) -> str:
        return clean(self._questions[0].text) if self._questions else ""

    # keys

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("<sigint>")
        def _interrupt(event: KeyPressEvent) -> None:
            self._ctrl_c(event)

        @keys.add("c-d", filter=Condition(lambda: not self._session.default_buffer.text))
        def _end(event: KeyPressEvent) -> None:
            self._leave()

        return keys

    def _ctrl_c(self, event: KeyPressEvent) -> None:
        """Handle Ctrl-C: does the first of these that applies."""
        buffer = self._session.default_buffer
        if self._elsewhere:
            pass
        elif event.app.layout.is_searching:
            stop_search()
        elif buffer.complete_state is not None:
            buffer.cancel_completion()
        elif buffer.text:
            self._echo(buffer.text + "^C")
            buffer.reset()
        elif self._questions:
            self._echo("^C")
            self._answer(self._questions[0].refusal)
        elif monotonic() - self._interrupt.ended < SWALLOWED:
            pass
        elif not self._interrupt.press():
            self.say(LEAVE_HINT)


class Measured(HSplit):
    """Caches its preferred height per frame, since computing it takes as long as drawing."""

    _measured: tuple[object, Dimension] | None = None

    def preferred_height(self, width: int, max_available_height: int) -> Dimension:
        frame = get_app().render_counter, width, max_available_height
        if self._measured is None or self._measured[0] != frame:
            self._measured = frame, super().preferred_height(width, max_available_height)
        return self._measured[1]


def _row(text: Callable[[], str], style: str) -> ConditionalContainer:
    """A row of text, hidden if empty."""
    window = Window(FormattedTextControl(text), height=1, style=style, dont_extend_height=True)
    return ConditionalContainer(window, Condition(lambda: bool(text())))

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
from invoke.shell.board import Board
from invoke.shell.editor import PROMPT, Editor, paste_question
from invoke.shell.escapes import Features, Signs
from invoke.shell.inset import SmallPicture
from invoke.shell.interrupts import LEAVE_HINT, Interrupt, leaving_at_signals
from invoke.shell.queue import Queue
from invoke.shell.repl import Repl
from invoke.shell.steady import Above, SteadyOutput, SteadyRenderer
from invoke.signals import running_time
from invoke.text import clean, counted, fitting

log = logging.getLogger(__name__)

TICK = 0.5
"""Seconds between two frames while something is going on."""
SWALLOWED = 2.0
"""Seconds after Ctrl-C has ended a line in which another Ctrl-C is taken to mean that line."""
YES_OR_NO = {"y": "yes", "yes": "yes", "n": "no", "no": "no"}
WAIT, CANCEL, STAY = "wait", "cancel", "stay"
LEAVING = {"w": WAIT, "wait": WAIT, "c": CANCEL, "cancel": CANCEL, "s": STAY, "stay": STAY}


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a whole line answers; other lines are entered as usual meanwhile."""

    text: str
    answers: Mapping[str, str]
    """What can be typed → what it means."""
    refusal: str
    """What Ctrl-C means."""
    then: Callable[[str], object]


class Desk:
    """Keys, lines and the screen, in the main thread. Other threads use `ask`, `above` and the board."""

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
        """When a key was pressed."""
        self._questions: deque[Question] = deque()
        self._entered: deque[str] = deque()
        self._leaving_when_done = False
        self._elsewhere = False
        """Whether another program has the terminal."""
        self._context = contextvars.copy_context()
        app = self._app = session.app
        app.max_render_postpone_time = 0  # a key is shown at once, whatever else is going on
        app.erase_when_done = True  # what stands on the prompt at the end was not entered
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
        """Whether the user says yes. Not for the main thread, which hears the answer."""
        answer: Future[str] = Future()
        self.put(Question(f"{text} [y/N]", YES_OR_NO, "no", answer.set_result))
        return answer.result() == "yes"

    def put(self, question: Question) -> None:
        """Ask, as soon as no other question is open."""
        self._questions.append(question)
        self._app.invalidate()

    def elsewhere(self, program: Callable[[], object]) -> None:
        """Let `program` have the terminal, as soon as no other one has it; the prompt is back when it returns."""
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
        """Until the user leaves."""
        with leaving_at_signals(lambda: self._app.loop, self._leave_at_signal), suppress(EOFError):
            self._app.run(pre_run=self._start, set_exception_handler=False)  # an EOFError: the terminal is gone
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
        """A bug in a key binding or in drawing: it is logged, and typing continues."""
        error = context.get("exception")
        log.error("%s", context.get("message"), exc_info=error if isinstance(error, Exception) else None)
        what = f"{type(error).__name__}: {error}" if error else context.get("message")
        self.say(f"internal error: {clean(str(what))}; the log has the details")

    def say(self, text: str) -> None:
        self._above.write(f"{text}\n")

    def _accept(self, buffer: Buffer) -> bool:
        """Enter: an answer, or lines. Returns whether the text stays."""
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
            if answer == "drop":  # Ctrl-C: nothing of it is lost, and nothing is run
                self._editor.put_back(text)
                return
            self._entered += lines if answer == "yes" else [text]
            self._app.create_background_task(self._enter_all())

        answers = {"": "yes", **YES_OR_NO}
        self._questions.appendleft(Question(paste_question(lines), answers, "drop", enter))

    async def _enter_all(self) -> None:
        """Enter what waits for it, with time for keys in between."""
        while self._entered:
            self._enter_next()
            await asyncio.sleep(0)

    def _enter_next(self) -> bool:
        """Enter the next line; whether a line stands on the prompt now."""
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
        """Have the line stand among the results, as it was typed."""
        first, *more = text.split("\n")
        rows = [clean(first), *(" " * len(PROMPT) + clean(row) for row in more)]
        before, between, after = (escapes.PROMPT, escapes.INPUT, escapes.OUTPUT) if self._marks else ("", "", "")
        self.say(f"{before}{PROMPT}{between}{chr(10).join(rows)}{after}")

    def _is_typing(self) -> bool:
        """Whether keys are arriving, or a line is begun already."""
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
            return  # Ctrl-D again: it is asked already
        count = len(self._queue.lines)
        text = (
            f"{counted(count, 'line')} not finished: [w]ait for {'it' if count == 1 else 'them'}, [c]ancel or [s]tay?"
        )
        self._questions.appendleft(Question(text, LEAVING, STAY, self._leave_as))

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
        """Keep clocks going while there are any."""
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
            if self._board.status is not None or changing or was_changing:  # what it has become is still to be shown
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
        """Ctrl-C: the first of these that there is something to do for."""
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
    """Finds out once a frame how high it should be: that takes as long as drawing it."""

    _measured: tuple[object, Dimension] | None = None

    def preferred_height(self, width: int, max_available_height: int) -> Dimension:
        frame = get_app().render_counter, width, max_available_height
        if self._measured is None or self._measured[0] != frame:
            self._measured = frame, super().preferred_height(width, max_available_height)
        return self._measured[1]


def _row(text: Callable[[], str], style: str) -> ConditionalContainer:
    """One row of text, where there is any."""
    window = Window(FormattedTextControl(text), height=1, style=style, dont_extend_height=True)
    return ConditionalContainer(window, Condition(lambda: bool(text())))

"""Signals as flags: a handler only sets a flag, which the work checks between two steps (`check`).

An exception raised in a handler is lost inside a destructor or a library's callback, and can interrupt anything
halfway. So the first SIGINT, SIGTERM or SIGHUP only sets a flag, and the file in work is finished. A second one ends
the program at once; so does the first if nothing calls `check` for `GRACE` seconds.
"""

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from types import FrameType
from typing import TypeVar

GRACE = 5.0
"""Seconds after which a signal ends the program if `check` was not called."""
POLL = 0.05
"""Seconds between two checks while waiting."""
_ENDING = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]

Item = TypeVar("Item")


class Terminated(SystemExit):
    """SIGTERM or SIGHUP has come; its code is the exit status. A SystemExit, which no library takes for an error."""


@dataclass
class _State:
    """The signals received in this process."""

    installed_by: int | None = None
    """The thread that checks; None if no handlers are installed."""
    is_interactive: bool = False
    """Whether Ctrl-C stops the current work instead of the program."""
    ended_by: int = 0
    """The signal that ends the program."""
    is_raised: bool = False
    """Whether `check` has raised it."""
    presses: int = 0
    """Number of presses of Ctrl-C not yet handled."""
    on_press: Callable[[int], None] | None = None
    """Handles Ctrl-C, given the number of presses."""
    on_end: list[Callable[[], None]] = field(default_factory=list)
    """Called from the handler, to wake up an event loop."""
    at_once: list[Callable[[], None]] = field(default_factory=list)
    """Called before the program ends abruptly."""
    around_stop: list[tuple[Callable[[], None], Callable[[], None]]] = field(default_factory=list)
    """Called before the program is suspended (Ctrl-Z), and after it continues."""
    paused: float = 0.0


_state = _State()
_of_this_thread = threading.local()


@contextmanager
def as_flags(*, interactive: bool = False) -> Iterator[None]:
    """Take SIGINT, SIGTERM, SIGHUP and SIGTSTP as flags within the block.

    `interactive`: Ctrl-C stops what the program is doing, not the program. A signal that is ignored stays so, as
    `nohup` wants.
    """
    state = _state
    before: dict[int, object] = {}

    def install(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> None:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)

    number: int
    outer = state.installed_by, state.is_interactive
    state.installed_by, state.is_interactive = threading.get_ident(), interactive
    install(signal.SIGINT, _interrupt)
    for number in _ENDING:
        install(number, _end)
    if hasattr(signal, "SIGTSTP"):
        install(signal.SIGTSTP, _stop)
        install(signal.SIGCONT, _continue)
        install(signal.SIGALRM, _end_late)
    try:
        yield
    finally:
        if hasattr(signal, "SIGALRM"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        state.installed_by, state.is_interactive = outer
        if outer[0] is None:
            state.ended_by, state.presses, state.is_raised = 0, 0, False


def check() -> None:
    """Raise what a signal asks for: Terminated for SIGTERM and SIGHUP, KeyboardInterrupt for Ctrl-C.

    Each is raised once, so that cleaning up is not interrupted again. In a thread other than the one that installed
    the handlers, only the function given to `stoppable` is called.
    """
    state = _state
    if (look := getattr(_of_this_thread, "look", None)) is not None:
        look()
    if not (state.ended_by or state.presses) or state.installed_by != threading.get_ident():
        return
    if state.ended_by and not state.is_raised:
        state.is_raised = True
        if state.ended_by == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(128 + state.ended_by)
    if state.presses and state.is_interactive:
        if state.on_press is not None:
            state.on_press(state.presses)
        else:
            state.presses = 0
            raise KeyboardInterrupt


def status() -> int | None:
    """The exit status for the received signal; None if there is none."""
    return 128 + _state.ended_by if _state.ended_by else None


def get(items: "queue.Queue[Item]", timeout: float | None = None) -> Item:
    """The next of `items`; a signal received in the meantime is raised (see `check`).

    Raises queue.Empty after `timeout` seconds.
    """
    deadline = None if timeout is None else monotonic() + timeout
    while True:
        check()
        wait = POLL if deadline is None else min(POLL, max(0.0, deadline - monotonic()))
        with suppress(queue.Empty):
            return items.get(timeout=wait)
        if deadline is not None and monotonic() >= deadline:
            raise queue.Empty


def wait_for(work: Callable[[], Item]) -> Item:
    """Run `work` in a thread, so that a signal can interrupt a blocking read; return or raise its result."""
    done: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:  # raised again in the waiting thread
            done.put((None, error))

    threading.Thread(target=run, name="waiting", daemon=True).start()
    result, error = get(done)
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


@contextmanager
def pressed(decide: Callable[[int], None]) -> Iterator[None]:
    """Within the block, `check` passes the number of presses of Ctrl-C to `decide`, which handles them."""
    before, _state.on_press = _state.on_press, decide
    try:
        yield
    finally:
        _state.on_press, _state.presses = before, 0


@contextmanager
def stoppable(look: Callable[[], None]) -> Iterator[None]:
    """Within the block, `check` also calls `look` in this thread, which raises the thread's own stop requests."""
    _of_this_thread.look = look
    try:
        yield
    finally:
        del _of_this_thread.look


@contextmanager
def on_end(wake: Callable[[], None]) -> Iterator[None]:
    """Call `wake` from the handler on SIGTERM or SIGHUP: it must neither raise nor wait."""
    with _registered(_state.on_end, wake):
        yield


@contextmanager
def at_once(tidy: Callable[[], None]) -> Iterator[None]:
    """Call `tidy` if the program ends abruptly within the block."""
    with _registered(_state.at_once, tidy):
        yield


@contextmanager
def around_stop(before: Callable[[], None], after: Callable[[], None]) -> Iterator[None]:
    """Call `before` when the program is suspended (Ctrl-Z), and `after` when it continues in the foreground."""
    with _registered(_state.around_stop, (before, after)):
        yield


def running_time() -> float:
    """`time.monotonic` without the time for which the program was suspended."""
    return monotonic() - _state.paused


@contextmanager
def _registered(callbacks: list[Item], callback: Item) -> Iterator[None]:
    callbacks.append(callback)
    try:
        yield
    finally:
        callbacks.remove(callback)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _state.is_interactive:
        _end(number, frame)
        return
    _state.presses += 1
    if _state.presses > 1 and _state.on_press is None:
        # not checked since the first one: better an exception in a bad place than an unresponsive shell
        _state.presses = 0
        raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> None:
    if _state.ended_by:
        _end_now(number)
    _state.ended_by = number
    if hasattr(signal, "SIGALRM"):
        signal.setitimer(signal.ITIMER_REAL, GRACE)
    for wake in _state.on_end:
        wake()


def _end_late(number: int, frame: FrameType | None) -> None:
    if _state.ended_by:
        _end_now(_state.ended_by)


def _end_now(number: int) -> None:
    for tidy in reversed(_state.at_once):
        with suppress(Exception):
            tidy()
    os._exit(128 + number)


def _stop(number: int, frame: FrameType | None) -> None:
    for before, _ in reversed(_state.around_stop):
        before()
    began = monotonic()
    os.kill(os.getpid(), signal.SIGSTOP)  # returns when the program continues
    _state.paused += monotonic() - began
    _continue(number, frame)


def _continue(number: int, frame: FrameType | None) -> None:
    for _, after in _state.around_stop:
        after()

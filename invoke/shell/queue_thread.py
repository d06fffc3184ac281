"""The thread that runs the lines of the queue, one after another."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Thread

from invoke import signals
from invoke.shell.interrupts import Interrupt
from invoke.shell.queue import Queue, QueuedLine

log = logging.getLogger(__name__)


class QueueThread(Thread):
    """Takes lines from the queue and runs them. `perform` reports errors."""

    def __init__(self, queue: Queue, interrupt: Interrupt, perform: Callable[[QueuedLine], None]) -> None:
        super().__init__(name="lines", daemon=True)
        self._queue, self._interrupt, self._perform = queue, interrupt, perform

    def run(self) -> None:
        while (line := self._queue.take()) is not None:
            self._interrupt.begin()
            try:
                with signals.stoppable(self._interrupt.check):
                    self._perform(line)
            except KeyboardInterrupt:
                pass  # already reported
            except BaseException:  # a bug; the waiting lines are kept
                log.exception("%s", line.line)
            finally:
                self._interrupt.end()
                self._queue.finish()

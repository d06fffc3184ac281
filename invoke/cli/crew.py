"""Makes a batch's lines on workers (`--workers`, `--ray`), with the same files, ledger and reports as on one engine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path as FilePath

from invoke import signals
from invoke.cli.reports import Report, Tally
from invoke.errors import InvokeError
from invoke.language.parse import Draft
from invoke.language.plan import Plan
from invoke.language.switches import by_name
from invoke.language.types import Control, Path
from invoke.outputs.ledger import Entry
from invoke.outputs.speeds import Speeds
from invoke.paths import expanded
from invoke.session import Session
from invoke.workers.pool import LineEnded, PictureEvent, PoolEvent, SheetSaved, WorkerPool
from invoke.workers.scheduler import LaneNews, Retried


@dataclass
class CrewLine:
    """A line of the batch, which may have several plans (`!fix *.png`)."""

    number: int
    entry: Entry
    left: int
    """Plans that have not ended."""
    error: InvokeError | None = None
    is_whole: bool = True


@dataclass
class Crew:
    """Starts lines on `pool` and passes on their events."""

    pool: WorkerPool
    session: Session
    report: Report
    tally: Tally
    keep: Callable[[CrewLine, PictureEvent | SheetSaved], None]
    """Called with every event of a line."""
    end: Callable[[CrewLine], None]
    """Called when a line has ended."""
    _lines: dict[int, CrewLine] = field(default_factory=dict)
    _keys: Iterator[int] = field(default_factory=lambda: count(1))

    def open(self, line: CrewLine, plan: Plan) -> None:
        """Start `plan`, and process events until the pool has room for another line. Raises InvokeError."""
        key = next(self._keys)
        self._lines[key] = line
        self.pool.open(key, plan, self.session.files(plan))
        while not self.pool.has_room and not self.pool.is_idle:
            self.go_on(signals.POLL)

    def has(self, number: int) -> bool:
        """Whether part of the line is still in progress."""
        return any(line.number == number for line in self._lines.values())

    def pass_over(self, pictures: Iterable[tuple[str, int]]) -> None:
        """Remember the pictures of a line that was made earlier, in the order of the lines."""
        self.pool.pass_over(list(pictures))

    def go_on(self, timeout: float) -> None:
        """Process events that have arrived or arrive within `timeout` seconds. Raises InvokeError."""
        signals.check()
        try:
            self._heed(self.pool.pump(min(timeout, signals.POLL)))
        except InvokeError:  # no worker is left
            self.pool.abandon()
            raise

    def finish(self) -> None:
        """Process events until every line has ended. Raises InvokeError."""
        while not self.pool.is_idle:
            self.go_on(signals.POLL)
        self._learn()

    def reads_results(self, draft: Draft) -> bool:
        """Whether `draft` reads from the output folder of a line in progress."""
        return reads_from(draft, [line.entry.folder for line in self._lines.values()])

    def stop(self) -> None:
        """Start no new pictures; those in progress are finished and kept."""
        self.pool.stop()

    def close(self) -> None:
        """End the workers; results that have arrived are saved."""
        self.pool.stop()
        try:
            with suppress(InvokeError):
                self._heed(self.pool.arrived())
            self._learn()
        finally:
            self.pool.close()

    def _heed(self, events: Iterable[PoolEvent]) -> None:
        for event in events:
            match event:
                case PictureEvent() | SheetSaved():
                    self.keep(self._lines[event.line], event)
                case LineEnded(key, error, is_whole):
                    line = self._lines.pop(key)
                    line.left -= 1
                    line.error = line.error or error
                    line.is_whole = line.is_whole and is_whole
                    if line.left == 0:
                        self.end(line)
                case LaneNews():
                    self.report.worker(event.lane + 1, event.state, event.hello, event.reason)
                case Retried():
                    self.tally.retried += 1

    def _learn(self) -> None:
        if self.pool.scheduler.speeds:
            speeds = Speeds()
            for speed in self.pool.scheduler.speeds:
                speeds.learn(replace(speed, workers=len(self.pool)))
            self.pool.scheduler.speeds.clear()
            speeds.save()


def reads_from(draft: Draft, folders: Iterable[FilePath]) -> bool:
    """Whether `draft` refers to a file or folder inside, or containing, one of `folders`."""
    places = [_absolute(folder) for folder in folders]
    named = [_absolute(expanded(path)) for part in draft.parts for path in _paths(part)]
    return any(_is_within(path, place) or _is_within(place, path) for path in named for place in places)


def _paths(draft: Draft) -> Iterator[str]:
    """Values of switches that may be paths, up to the first character of a glob pattern."""
    for name, value in draft.switches.items():
        if isinstance(by_name()[name].type, Path | Control):
            for words in value if isinstance(value, list | tuple) else [value]:
                for word in words if isinstance(words, tuple) else [words]:
                    if isinstance(word, str):
                        yield re.split(r"[*?[]", word, maxsplit=1)[0] or "."


def _absolute(path: FilePath) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links are not followed


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))  # noqa: PTH118

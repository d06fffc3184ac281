"""Speeds measured on every picture, kept in the state folder, used for estimates."""

import json
import logging
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from time import monotonic
from typing import TypeVar

from invoke import files
from invoke.events import Finished, Saved, Step
from invoke.language.plan import Planned
from invoke.paths import state_folder
from invoke.request import Request

FILE = "speeds.json"
LARGEST = 1_000_000
"""Bytes that are read of it."""
KEPT = 200
"""Models and sizes that are remembered, the newest."""
WEIGHT = 0.3
"""Of the newest picture in the average."""

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one model at one size and place, and of one engine of those that are at work side by side."""

    model: str
    width: int
    height: int
    device: str
    dtype: str
    threads: int
    """Of each operation on a CPU; 0 on other devices."""
    workers: int
    """How many engines share the machine."""
    call: float
    """Seconds that a call of the denoiser takes."""
    rest: float
    """Seconds that a picture takes beside them."""

    @property
    def key(self) -> tuple[str, int, int, str, str, int, int]:
        return self.model, self.width, self.height, self.device, self.dtype, self.threads, self.workers


class Speeds:
    """What was measured, the newest last. A file that cannot be read or written is as good as none."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or state_folder() / FILE
        self._speeds = {speed.key: speed for speed in _read(self._file)}

    def seconds(self, planned: Planned, device: str = "auto", *, threads: int = 0, workers: int = 1) -> float | None:
        """How long the picture will take one of `workers` engines on a `device` (`cuda`, `cpu`, `auto`).

        Each has so many `threads` (0: as many as it likes). None where no such picture was made yet. Where they were
        all made by another number of workers, a CPU is taken to make as many pictures a second however it is shared.
        """
        request = planned.request
        if planned.steps_taken == 0:
            return 0.0
        found = [
            speed
            for speed in reversed(self._speeds.values())
            if (speed.model, speed.width, speed.height) == (request.model, *request.size)
            and (device == "auto" or speed.device.startswith(device))
        ]
        if not found:
            return None
        nearest = max(found, key=lambda speed: (speed.workers == workers, threads in {0, speed.threads}))
        share = workers / nearest.workers if nearest.device == "cpu" else 1.0
        return (nearest.call * planned.steps_taken + nearest.rest) * share

    def learn(self, speed: Speed) -> None:
        """A picture was made at this `speed`."""
        before = self._speeds.pop(speed.key, speed)
        call = before.call + WEIGHT * (speed.call - before.call)
        rest = before.rest + WEIGHT * (speed.rest - before.rest)
        self._speeds[speed.key] = Speed(*speed.key, call, rest)

    def save(self) -> None:
        rows = [astuple(speed) for speed in self._speeds.values()][-KEPT:]
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.replace(self._file, json.dumps(rows).encode(), mode=0o600)
        except OSError as error:
            log.info("%s cannot be written: %s", self._file, error)


def measured(
    events: Generator[T, None, None], event_in: Callable[[T], object] = lambda item: item
) -> Generator[T, None, None]:
    """`events` of a line, with the speed of its pictures remembered at the end.

    `event_in` finds the event in an item.
    """
    watch = Stopwatch()
    try:
        with closing(events):
            for item in events:
                watch.see(event_in(item))
                yield item
    finally:
        speed = watch.speed()
        if speed is not None:
            speeds = Speeds()
            speeds.learn(speed)
            speeds.save()


class Stopwatch:
    """Takes the time of pictures, which may be drawn side by side, where all are alike."""

    def __init__(self) -> None:
        self._seen = monotonic()
        self._calling = self._resting = 0.0
        self._calls = self._pictures = 0
        self._keys: set[tuple[str, int, int, str, str, int]] = set()
        self._is_plain = True

    def see(self, event: object) -> None:
        passed, self._seen = monotonic() - self._seen, monotonic()
        match event:
            case Step(index) if index:
                self._calling += passed
                self._calls += 1
            case Step() | Saved(_, "image"):  # what passes before a picture is begun is waiting: for a model, say
                self._resting += passed
            case Finished(request, _, facts):
                self._resting += passed
                self._pictures += 1
                self._keys.add((request.model, *request.size, facts.device, facts.dtype, facts.threads))
                self._is_plain = self._is_plain and _is_plain(request)

    def speed(self) -> Speed | None:
        """What was measured, as of an engine by itself; None where the pictures tell nothing."""
        if not (self._is_plain and self._calls and len(self._keys) == 1):
            return None
        return Speed(*self._keys.pop(), 1, self._calling / self._calls, self._resting / self._pictures)


def _is_plain(request: Request) -> bool:
    """Whether the picture is drawn at one size, by one model, and that is all."""
    return not (request.upscale or request.hires_fix or request.embiggen or request.refiner or request.before)


def _read(file: Path) -> list[Speed]:
    try:
        rows = json.loads(files.read_file(file, LARGEST, follow=False))
        kinds = str, int, int, str, str, int, int, float, float
        return [Speed(*(kind(value) for kind, value in zip(kinds, row, strict=True))) for row in rows]
    except (OSError, ValueError, TypeError, RecursionError):
        return []

"""Speeds: measured for every picture, saved in the state folder, and used for estimates."""

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
"""Maximum size of the file, in bytes."""
LONGEST = 1e6
"""Seconds of a call, or of the rest of a picture."""
KEPT = 200
"""How many of the most recent models and sizes are kept."""
WEIGHT = 0.3
"""Weight of the newest picture in the average."""

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed of one engine with one model, size, device and number of engines sharing the machine."""

    model: str
    width: int
    height: int
    device: str
    dtype: str
    threads: int
    """Threads of each operation on a CPU; 0 on other devices."""
    workers: int
    """How many engines share the machine."""
    call: float
    """Seconds per call of the denoiser."""
    rest: float
    """Seconds per picture for everything else."""

    @property
    def key(self) -> tuple[str, int, int, str, str, int, int]:
        return self.model, self.width, self.height, self.device, self.dtype, self.threads, self.workers

    @property
    def is_possible(self) -> bool:
        """Whether it can have been measured: a file may say anything."""
        return self.workers > 0 and 0 <= self.call < LONGEST and 0 <= self.rest < LONGEST


class Speeds:
    """The measured speeds, the newest last. A file that cannot be read or written is ignored."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or state_folder() / FILE
        self._speeds = {speed.key: speed for speed in _read(self._file)}

    def seconds(self, planned: Planned, device: str = "auto", *, threads: int = 0, workers: int = 1) -> float | None:
        """Estimate how long the picture takes on one of `workers` engines on a `device` (`cuda`, `cpu`, `auto`).

        `threads` is per engine (0: default). None if no such picture has been made yet. If there are only measurements
        with another number of workers, a CPU is assumed to make the same number of pictures per second in total.
        """
        request = planned.request
        if planned.steps_taken == 0:
            return 0.0
        wanted = (request.model, *request.size)
        found = [
            speed
            for speed in reversed(self._speeds.values())
            if (speed.model, speed.width, speed.height) == wanted
            and (device == "auto" or speed.device.startswith(device))
        ]
        if not found:
            return None
        nearest = max(found, key=lambda speed: (speed.workers == workers, threads in {0, speed.threads}))
        share = workers / nearest.workers if nearest.device == "cpu" else 1.0
        return (nearest.call * planned.steps_taken + nearest.rest) * share

    def learn(self, speed: Speed) -> None:
        """Add the measured speed of a picture."""
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
    """Pass the events of a line through, and learn the speed of its pictures at the end.

    `event_in` extracts the event from an item.
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
    """Measures the time of pictures, possibly batched, if all are alike."""

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
            case Step() | Saved(_, "image"):  # time before a picture starts is not counted, e.g. loading a model
                self._resting += passed
            case Finished(request, _, facts):
                self._resting += passed
                self._pictures += 1
                self._keys.add((request.model, *request.size, facts.device, facts.dtype, facts.threads))
                self._is_plain = self._is_plain and _is_plain(request)

    def speed(self) -> Speed | None:
        """The measured speed, for a single engine; None if the pictures were not comparable."""
        if not (self._is_plain and self._calls and len(self._keys) == 1):
            return None
        return Speed(*self._keys.pop(), 1, self._calling / self._calls, self._resting / self._pictures)


def _is_plain(request: Request) -> bool:
    """Whether the picture is drawn at one size by one model, without anything else."""
    return not (request.upscale or request.hires_fix or request.embiggen or request.refiner or request.before)


def _read(file: Path) -> list[Speed]:
    try:
        rows = json.loads(files.read_file(file, LARGEST, follow=False))
        kinds = str, int, int, str, str, int, int, float, float
        found = [Speed(*(kind(value) for kind, value in zip(kinds, row, strict=True))) for row in rows]
        return [speed for speed in found if speed.is_possible]
    except (OSError, ValueError, TypeError, OverflowError, RecursionError):
        return []

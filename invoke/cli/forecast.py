"""Forecast: what a dry run's lines would cost in pictures, calls of the denoiser, and time where that is known."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from invoke.language.plan import Plan, Planned
from invoke.text import counted

SAMPLES = 1000
"""Pictures of a line that are looked at, of those that are many: they differ little."""


@dataclass
class Forecast:
    """A sum over lines."""

    lines: int = 0
    pictures: int = 0
    calls: int = 0
    """Of the denoiser."""
    seconds: float = 0.0
    """Of the pictures whose speed is known."""
    unknown: int = 0
    """Pictures whose speed is not known."""
    workers: int = 1
    """Engines that make them side by side."""

    def add(self, plan: Plan, seconds: Callable[[Planned], float | None]) -> None:
        """One more line; `seconds` tells how long a picture takes."""
        left = plan.count - len(plan.made)
        looked, calls, time, unknown = 0, 0, 0.0, 0
        for planned in _samples(plan):
            looked += 1
            calls += planned.steps_taken
            taken = seconds(planned)
            unknown += taken is None
            time += taken or 0.0
        share = left / looked if looked else 0
        self.lines += 1
        self.pictures += left
        self.calls += round(calls * share)
        self.seconds += time * share
        self.unknown += round(unknown * share)

    def __str__(self) -> str:
        summary = f"{counted(self.lines, 'line')}, {counted(self.pictures, 'picture')}, "
        summary += f"{counted(self.calls, 'call')} of the model"
        if not self.pictures:
            return summary
        measured = self.pictures - self.unknown
        if not measured:
            return f"{summary}: no estimate: no picture of this size has been made here yet"
        side_by_side = min(self.workers, self.pictures)
        place = f"on {counted(self.workers, 'worker')} " if self.workers > 1 else ""
        duration = _duration(self.seconds / side_by_side)
        estimate = f"{summary}: {place}about {duration} at the speed of the last pictures"
        return f"{estimate}, and {self.unknown} of a size that was not made here yet" if self.unknown else estimate


def _samples(plan: Plan) -> Iterator[Planned]:
    """The pictures that are still to be made, or some of them, evenly spread."""
    step = max(1, plan.count // SAMPLES)
    return (plan.picture(index) for index in range(0, plan.count, step) if index not in plan.made)


def _duration(seconds: float) -> str:
    """`5 seconds`, `12 minutes`, `3.5 hours`."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            count = seconds / size
            return f"{count:.1f} {unit}s" if count < 10 and size > 60 else f"{count:.0f} {unit}s"
    return counted(max(1, round(seconds)), "second")

"""Forecast: what a dry run's lines would cost: pictures, calls of the denoiser, and time if it is known."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from invoke.language.plan import Plan, Planned
from invoke.text import counted

SAMPLES = 1000
"""Maximum number of pictures of a line that are examined; they differ little."""


@dataclass
class Forecast:
    """The total over all lines."""

    lines: int = 0
    pictures: int = 0
    calls: int = 0
    """Calls of the denoiser."""
    seconds: float = 0.0
    """Time of the pictures whose speed is known."""
    unknown: int = 0
    """Number of pictures whose speed is unknown."""
    workers: int = 1
    """Engines that work in parallel."""

    def add(self, plan: Plan, seconds: Callable[[Planned], float | None]) -> None:
        """Add a line; `seconds` estimates the time of a picture."""
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
        estimate = f"{summary}: {place}about {duration} at the speed of recent pictures"
        return f"{estimate}, and {self.unknown} of a size not yet made here" if self.unknown else estimate


def _samples(plan: Plan) -> Iterator[Planned]:
    """The pictures still to be made, or an evenly spaced sample of them."""
    step = max(1, plan.count // SAMPLES)
    return (plan.picture(index) for index in range(0, plan.count, step) if index not in plan.made)


def _duration(seconds: float) -> str:
    """`5 seconds`, `12 minutes`, `3.5 hours`."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            count = seconds / size
            return f"{count:.1f} {unit}s" if count < 10 and size > 60 else f"{count:.0f} {unit}s"
    return counted(max(1, round(seconds)), "second")

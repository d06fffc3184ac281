"""Alternating timing: each side once, then again, so that other load on the machine affects all sides equally."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from time import perf_counter, process_time

TURNS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one turn, in seconds."""

    wall: float
    processor: float
    """Of all cores and of all the side's processes."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison. `work` is given the number of the turn, 0 for the warm-up, and takes it for a seed."""

    work: Callable[[int], object]
    processor: Callable[[], float] = process_time
    """Processor seconds used so far by whoever does the work."""

    def cost(self, turn: int) -> Cost:
        """What `work` takes."""
        used, began = self.processor(), perf_counter()
        self.work(turn)
        return Cost(perf_counter() - began, self.processor() - used)


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, smallest and largest of some numbers."""

    median: float
    least: float
    most: float


def spread(numbers: Sequence[float]) -> Spread:
    """Of at least one number."""
    return Spread(median(numbers), min(numbers), max(numbers))


def ratios(ours: Sequence[Cost], theirs: Sequence[Cost]) -> Spread:
    """How many times longer theirs takes, turn by turn."""
    return spread([their.wall / our.wall for our, their in zip(ours, theirs, strict=True)])


def in_turns(
    sides: Mapping[str, Side], *, turns: int = TURNS, warm_up: bool = True, until: float = inf
) -> dict[str, list[Cost]]:
    """What each side took, turn by turn; the warm-up is not counted.

    Every other turn goes through the sides backwards, so that none is always the first. A turn that would end after
    `until` (of `perf_counter`), going by the one before, is not begun; one is always made.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for turn in range(0 if warm_up else 1, turns + 1):
        began = perf_counter()
        for name in sorted(sides, key=list(sides).index, reverse=turn % 2 == 0):
            cost = sides[name].cost(turn)
            if turn:
                costs[name].append(cost)
        now = perf_counter()
        if turn and now + (now - began) > until:
            break
    return costs

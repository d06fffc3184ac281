"""Random seeds for lines without `-S`; recorded so that planning a line again gives the same ones."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from invoke.request import LARGEST_SEED

DrawSeed = Callable[[], int]


def random_seed() -> int:
    return secrets.randbelow(LARGEST_SEED + 1)


class Seeds:
    """Draws the seeds of one line: first those drawn `earlier`, then new ones from `draw`."""

    def __init__(self, earlier: Sequence[int] = (), draw: DrawSeed = random_seed) -> None:
        self.drawn: list[int] = []
        self._earlier, self._draw = iter(tuple(earlier)), draw

    def __call__(self) -> int:
        seed = next(self._earlier, None)
        self.drawn.append(self._draw() if seed is None else seed)
        return self.drawn[-1]

    def again(self) -> Seeds:
        """A copy that draws the same seeds in the same order."""
        return Seeds(self.drawn, self._draw)

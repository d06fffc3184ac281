"""A gate between a test and the test engine in another process: each step waits for the test."""

from itertools import count
from pathlib import Path

from tests.fakes import FakeEngine

NAME = "steps-let-through"
ALL = 1_000_000


class Gate:
    """The test's side: a file with a byte for each step that may be taken."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def let(self, steps: int) -> None:
        """Let this many more steps through; the first of a picture precedes its first call of the denoiser."""
        with self._path.open("ab") as file:
            file.write(bytes(steps))

    def open(self) -> None:
        """Open the gate."""
        self.let(ALL)


class GatedEngine(FakeEngine):
    """The engine's side, in the folder in which the program runs."""

    def __init__(self) -> None:
        super().__init__(at_step=self._wait)
        self._taken = count(1)
        self._path = Path(NAME).absolute()

    def _wait(self, index: int) -> None:
        number = next(self._taken)
        while not (self._path.exists() and self._path.stat().st_size >= number):
            if self.died.wait(0.01):
                return

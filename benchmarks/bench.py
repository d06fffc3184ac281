"""What the scenarios share: models, loaded programs, number of turns."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.alternating import TURNS, Side, in_turns
from benchmarks.jobs import Job
from benchmarks.processes import Ours, Theirs
from benchmarks.random_checkpoints import POCKET, checkpoint
from benchmarks.results import Fact, Row
from invoke.engine.process.openmp import waiting_variables


class LeftOutError(Exception):
    """A scenario cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that both sides load from the same folder."""

    name: str
    path: Path
    job: Job
    """A picture at a size, with a number of steps that suits this machine."""


@dataclass
class Bench:
    """The resources of one run of the benchmarks."""

    folder: Path
    """The folder of the checkpoints."""
    work: Path
    """The output folder; emptied at the end."""
    turns: int = TURNS
    quick: bool = False
    _ours: dict[Path, Ours] = field(default_factory=dict)
    _theirs: dict[tuple[Path, str, bool], Theirs] = field(default_factory=dict)

    @property
    def pocket(self) -> Model:
        """The built-in model, 256×256, 20 steps."""
        return Model("pocket", POCKET, Job(steps=20))

    def random(self, shape: str, **changes: Any) -> Model:
        """A checkpoint of the given shape; `changes` apply to its job."""
        return Model(shape, checkpoint(shape, self.folder), replace(Job(steps=4), **changes))

    def ours(self, model: Model) -> Ours:
        """Our program, in a continuing session."""
        if model.path not in self._ours:
            self._ours[model.path] = Ours(model.path, self.work / "ours")
        return self._ours[model.path]

    def theirs(self, model: Model, *, waiting: bool = False) -> list[Theirs]:
        """The stock pipeline in float32, its default, and in the dtype of our program if that is different.

        All as in a script. `waiting`: again in float32, with the waiting policy of our threads.
        """
        ways: list[tuple[str, bool]] = [(dtype, False) for dtype in dict.fromkeys(("float32", self.ours(model).dtype))]
        found = []
        for dtype, as_ours in [*ways, ("float32", True)] if waiting else ways:
            key = model.path, dtype, as_ours
            if key not in self._theirs:
                (self.work / "theirs").mkdir(exist_ok=True)
                environment = waiting_variables({}) if as_ours else None
                self._theirs[key] = Theirs(model.path, dtype, self.work / "theirs", environment)
            found.append(self._theirs[key])
        return found

    def let_go(self) -> None:
        """End the loaded programs."""
        for program in (*self._ours.values(), *self._theirs.values()):
            program.close()
        self._ours.clear()
        self._theirs.clear()

    def compare(  # noqa: PLR0913 - all but the first four by keyword
        self,
        what: str,
        model: Model,
        ours: Callable[[Ours, int], object],
        theirs: Mapping[str, Callable[[Theirs, int], object]],
        *,
        pictures: int = 1,
        goal: float | None = None,
        facts: Mapping[str, Fact] | None = None,
        waiting: bool = False,
    ) -> Iterator[Row]:
        """A row for each way of `theirs`, in each dtype; all sides in the same turns.

        The goal is for the first way, in float32. `waiting`: see `theirs`.
        """
        session = self.ours(model)
        sides = {"ours": Side(lambda turn: ours(session, turn), session.processor)}
        for stock in self.theirs(model, waiting=waiting):
            for way, work in theirs.items():
                sides[", ".join(filter(None, (stock.name, way)))] = _side(work, stock)
        costs = in_turns(sides, turns=self.turns)
        for number, name in enumerate(list(sides)[1:]):
            yield Row(
                what=f"{model.name}: {what}",
                ours=f"invoke, {session.dtype}",
                peer=name,
                ours_costs=costs["ours"],
                peer_costs=costs[name],
                pictures=pictures,
                goal=None if number else goal,
                facts=facts or {},
            )


def _side(work: Callable[[Theirs, int], object], stock: Theirs) -> Side:
    return Side(lambda turn: work(stock, turn), stock.processor)


Scenario = Callable[[Bench], Iterable[Row]]
"""A benchmark as a generator of rows: finished rows are kept when a later one fails."""

"""What becomes of the pictures of a line: their sheets, in the order of the line, and what is made again."""

from collections.abc import Generator, Sequence
from random import Random
from typing import Any

import pytest

from invoke.events import EngineEvent, Pixels, Previews
from invoke.outputs import sheets
from invoke.outputs.ledger import NAME
from invoke.request import Request
from tests.batches import Batches
from tests.fakes import FakeEngine, a_picture
from tests.workers.lanes import FakeLanes


@pytest.fixture
def batches(tmp_path: Any) -> Batches:
    return Batches(tmp_path / "out")


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize(
    ("line", "seeds", "labels", "columns"),
    [
        ("a -S 5 -n 3 -g", [5, 6, 7], ["seed 5", "seed 6", "seed 7"], None),
        ("a -S 5 --sweep steps=1,2,3", [5] * 3, ["steps 1", "steps 2", "steps 3"], 3),
        ("a -S 5 -n 2 --sweep steps=1,2", [5, 6] * 2, ["steps 1", "steps 1", "steps 2", "steps 2"], 4),
        (
            "a --sweep seed=5,9 --sweep steps=1,2,3",
            [5, 5, 5, 9, 9, 9],
            [f"seed {seed} · steps {steps}" for seed in (5, 9) for steps in (1, 2, 3)],
            3,
        ),
    ],
)
def test_a_sheet_holds_each_picture_with_its_own_label(  # noqa: PLR0917 - a table
    batches: Batches,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    seeds: list[int],
    labels: list[str],
    columns: int | None,
    workers: int,
) -> None:
    """In the order of the line, whichever is finished first."""
    asked: list[tuple[list[Pixels], list[str], int | None]] = []
    real = sheets.grid

    def grid(pictures: Sequence[Pixels], labels: Sequence[str], columns: int | None = None) -> Pixels:
        asked.append(([*pictures], [*labels], columns))
        return real(pictures, labels, columns)

    monkeypatch.setattr(sheets, "grid", grid)
    batches.run([line], lanes=FakeLanes(workers, Random(1)) if workers else None)
    assert [pixels.data[:3] for pixels in asked[0][0]] == [a_picture(seed).data[:3] for seed in seeds]
    assert asked[0][1:] == (labels, columns)


class Restarting(FakeEngine):
    """Begins each picture a second time, as after the death of its process."""

    def draw(self, request: Request, previews: Previews) -> Generator[EngineEvent, None, None]:
        yield next(super().draw(request, previews))
        yield from super().draw(request, previews)


def test_what_is_saved_beside_a_finished_picture_stays_while_its_strip_is_made_again(batches: Batches) -> None:
    line = ["a -S 5 --strip --save_intermediates 1"]
    batches.run(line)
    ledger = batches.folder / NAME
    ledger.write_bytes(b"".join(row for row in ledger.read_bytes().splitlines(keepends=True) if b'"done"' not in row))
    before = {path.name: path.read_bytes() for path in batches.folder.rglob("*.png")}
    (batches.folder / "000001.5.steps.png").unlink()
    batches.run(line, Restarting(), resume=True)
    assert {path.name: path.read_bytes() for path in batches.folder.rglob("*.png")} == before


def test_steps_of_a_picture_that_is_begun_again_are_those_of_its_second_time(batches: Batches) -> None:
    batches.run(["a -S 5 --save_intermediates 1 -s 3"], Restarting())
    steps = sorted(path.name for path in (batches.folder / "intermediates" / "000001.5").iterdir())
    assert steps == [f"step-{index:04}.png" for index in range(4)]

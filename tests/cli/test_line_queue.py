"""Lines of a batch drawn at once (`--batch_size` at launch)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from invoke.cli.stdin import WAITING, Waiting
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ExitStatus
from invoke.models import read_registry
from invoke.options import EngineOptions
from invoke.outputs import metadata
from tests.batches import Batches
from tests.fakes import FakeEngine
from tests.studio import read_pixels

LINES = (
    "a fire -S 1",
    "a cat -S 2 -n 2 -A k_euler_a",
    "a house -S 4 -W 128",
    "a boat -S 5 -f 0.5 -I test-pictures/fire-drawing.png -W 64 -H 64",
    "a tree -S 6 -s 3",
)


@pytest.fixture
def batches(tmp_path: Path) -> Batches:
    return Batches(tmp_path / "out")


class Watched(FakeEngine):
    """Records how many pictures it draws at once, and their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[int] = []
        self.sizes: list[set[tuple[int, int]]] = []

    def generate_batch(self, jobs):  # type: ignore[no-untyped-def, override]
        self.groups.append(len(jobs))
        self.sizes.append({request.size for request, _ in jobs})
        return super().generate_batch(jobs)


class Backwards(FakeEngine):
    """Makes the last requested picture first."""

    def generate_batch(self, jobs):  # type: ignore[no-untyped-def, override]
        for place, event in super().generate_batch(jobs[::-1]):
            yield len(jobs) - 1 - place, event


@pytest.mark.slow
def test_batched_lines_make_the_same_pictures_as_single_lines(tmp_path: Path) -> None:
    """By the built-in model: together, and each line in a batch of its own; numbers are in the order of the lines."""
    engine = DiffusionEngine(read_registry(), EngineOptions(device="cpu", precision="float32", offline=True))
    together, alone = Batches(tmp_path / "together"), Batches(tmp_path / "alone")
    together.run(LINES, engine, batch_size=3)  # type: ignore[arg-type]
    for line in LINES:
        alone.run([line], engine, batch_size=3)  # type: ignore[arg-type]
    assert [path.name for path in together.pictures] == [path.name for path in alone.pictures]
    assert len(together.pictures) == 6
    for one, other in zip(together.pictures, alone.pictures, strict=True):
        assert (read_pixels(one) == read_pixels(other)).all()
    assert "--batch_size 3" in metadata.read(together.pictures[0]).line  # type: ignore[union-attr]


def test_lines_are_collected_into_full_groups(batches: Batches) -> None:
    engine = Watched()
    result = batches.run([f"picture {k}" for k in range(10)], engine, batch_size=2)
    assert result.status == ExitStatus.OK
    assert engine.groups == [10]
    assert batches.prompts() == {f"picture {k}": 1 for k in range(10)}
    batches.run([f"picture {k}" for k in range(10)], engine := Watched())
    assert engine.groups == 10 * [1]


def test_lines_of_the_same_size_are_grouped(batches: Batches) -> None:
    """Three sizes in turn: each is drawn in full groups, and only the last of each size is padded."""
    engine = Watched()
    result = batches.run([f"picture {k} -W {64 + 64 * (k % 3)} -S {k}" for k in range(27)], engine, batch_size=4)
    assert result.status == ExitStatus.OK
    assert engine.groups == [9, 9, 9]
    assert engine.sizes == [{(64, 64)}, {(128, 64)}, {(192, 64)}]
    assert [path.name for path in batches.pictures] == [f"{k + 1:06}.{k}.png" for k in range(27)]


def test_a_picture_waits_only_for_its_init_picture(batches: Batches) -> None:
    """With `--drift` each picture of the second line starts from the previous one."""
    engine = Watched()
    init = "test-pictures/fire-drawing.png"
    lines = ["a fire -S 1 -W 128", f"a cat -n 3 -v 0.2 --drift -I {init} -f 0.5 -S 2 -W 64 -H 64", "a dog -S 3 -W 128"]
    result = batches.run(lines, engine, batch_size=4)
    assert result.status == ExitStatus.OK, result.stderr
    assert set(engine.groups) == {1}
    assert len(engine.groups) == len(batches.pictures)


def test_a_partial_group_is_drawn_while_the_next_line_is_late(batches: Batches) -> None:
    made: list[int] = []

    def slow() -> Iterator[str | Waiting]:
        yield "a fire"
        yield WAITING
        made.append(len(batches.pictures))
        yield "a cat"

    batches.run(slow(), batch_size=4)  # type: ignore[arg-type]
    assert made == [1]
    assert len(batches.pictures) == 2


@pytest.mark.parametrize("line", ["a cat -I -1", "a cat -I {}/000001.7.png"])
def test_a_line_finds_the_picture_of_an_earlier_line(batches: Batches, line: str) -> None:
    result = batches.run(["a fire -S 7", line.format(batches.folder)], batch_size=4)
    assert result.status == ExitStatus.OK, result.stderr
    assert len(list(batches.folder.glob("0*.png"))) == 2


def test_minus_1_is_the_picture_of_the_last_line_in_any_order(batches: Batches) -> None:
    """The first line has another size and more steps, so that its group may be drawn last."""
    result = batches.run(["a fire -S 3 -s 9", "a cat -S 4 -n 2", "a dog -I -1 -f 0.5 -S 9"], Backwards(), batch_size=4)
    assert result.status == ExitStatus.OK, result.stderr
    made = metadata.read(next(batches.folder.glob("*.9.png")))
    assert made is not None
    assert made.request is not None
    assert made.request.init_path == str(batches.folder / "000002.5.png")


def test_a_bad_line_in_a_group_is_reported_with_its_number(batches: Batches) -> None:
    result = batches.run(["a fire", "a cat -s nothing", "a dog", "a cow -I nowhere.png"], batch_size=4)
    assert result.status == ExitStatus.FAILED
    assert "line 2" in result.stderr
    assert "line 4" in result.stderr
    assert batches.prompts() == {"a fire": 1, "a dog": 1}


def test_a_line_that_fails_while_drawn_does_not_stop_its_group(batches: Batches) -> None:
    from invoke.errors import EngineError

    engine = FakeEngine(None, EngineError("the numbers overflowed"), None)
    result = batches.run(["a fire", "a cat", "a dog"], engine, batch_size=4, as_json=True)
    assert [(event["line"], event["message"]) for event in result.of_type("error")] == [(2, "the numbers overflowed")]
    assert batches.prompts() == {"a fire": 1, "a dog": 1}
    again = batches.run(["a fire", "a cat", "a dog"], batch_size=4, resume=True, as_json=True)
    assert [event["line"] for event in again.of_type("skip")] == [1, 3]
    assert batches.prompts() == {"a fire": 1, "a cat": 1, "a dog": 1}


@pytest.mark.parametrize("size", [1, 4])
def test_stop_on_error_makes_only_the_lines_before_the_error(batches: Batches, size: int) -> None:
    result = batches.run(["a fire", "a cat -s nothing", "a dog"], batch_size=size, stop_on_error=True)
    assert result.status == ExitStatus.FAILED
    assert batches.prompts() == {"a fire": 1}

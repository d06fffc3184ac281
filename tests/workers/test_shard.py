"""Shards of a file: in any order, with some killed, together they are the whole."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoke.errors import ExitStatus, OutputError
from invoke.workers.shard import Reservation, Shard, ShardFolder
from tests.batches import Batches, T
from tests.fakes import FakeEngine
from tests.program import forked

LINES = ["!set -s 1", *(f"picture {k} -S {k}" for k in range(1, 40))]


@given(st.integers(1, 80), st.integers(0, 700))
def test_the_blocks_are_the_file(count: int, lines: int) -> None:
    blocks = [Shard(index, count).block(lines) for index in range(1, count + 1)]
    assert [line for block in blocks for line in block] == list(range(1, lines + 1))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


def test_seeds_depend_on_the_line_alone() -> None:
    def draw(line: int) -> list[int]:
        seeds = Reservation(0, 7).seeds(line)
        return [seeds() for _ in range(3)]

    assert draw(5) == draw(5) != draw(6)
    assert len(set(draw(5) + draw(6))) == 6


def run(folder: Path, index: int, count: int, lines: list[str] = LINES, *, resume: bool = False, **more: object) -> T:
    shard = ShardFolder(Shard(index, count), "file", len(lines), resume=resume)
    return Batches(folder).run(lines, source="file", shard=shard, resume=resume, **more)  # type: ignore[arg-type]


class Killed(FakeEngine):
    """Ends after so many steps."""

    def __init__(self, after: int) -> None:
        super().__init__(at_step=self.count)
        self.left = after

    def count(self, index: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@settings(max_examples=4)
@given(st.integers(0, 2**32))
def test_the_union_is_the_plain_run(seed: int) -> None:
    """In any order, some of them killed and resumed; the first line sets a default for all."""
    random = Random(seed)
    order = [*range(1, 9)]
    random.shuffle(order)
    with TemporaryDirectory() as folder:
        for index in order:
            if random.random() < 0.5:
                with pytest.raises(KeyboardInterrupt):
                    run(Path(folder), index, 8, engine=Killed(random.randrange(3)))
                assert run(Path(folder), index, 8, resume=True).status == ExitStatus.OK
            else:
                assert run(Path(folder), index, 8).status == ExitStatus.OK
        names = [path.name for path in Batches(Path(folder)).pictures]
        assert names == [f"{k + 1:06}.{k}.png" for k in range(1, 40)]
        assert Batches(Path(folder)).prompts() == {f"picture {k}": 1 for k in range(1, 40)}


def test_a_second_run_goes_on_behind_the_first(tmp_path: Path) -> None:
    for index in (1, 2, 2, 1):
        run(tmp_path, index, 2)
    assert len({path.name[:6] for path in Batches(tmp_path).pictures}) == 2 * 39


def refused(do: Callable[[], object]) -> OutputError:
    with pytest.raises(OutputError) as caught:
        do()
    return caught.value


def test_refusals(tmp_path: Path) -> None:
    first = ShardFolder(Shard(1, 4), "file", 40, resume=False)
    first.join(tmp_path)
    again = refused(lambda: ShardFolder(Shard(1, 4), "file", 40, resume=False).join(tmp_path))
    assert (again.code, "shard 1/4 is already running there" in again.message) == ("batch_running", True)
    other = refused(lambda: ShardFolder(Shard(1, 8), "file", 40, resume=True).join(tmp_path))
    assert "begun there in 4 shards, not in 8" in other.message
    assert other.hint == "--shard 1/4 --resume"
    edited = refused(lambda: ShardFolder(Shard(2, 4), "file", 41, resume=False).join(tmp_path))
    assert "the file has 41 lines now, and had 40" in edited.message
    first.close()


def test_a_line_that_starts_from_another_shard_says_so(tmp_path: Path) -> None:
    result = run(tmp_path, 2, 2, ["a -S 1", "b -I -1 -S 2"])
    assert result.status == ExitStatus.FAILED
    assert "shard 2/2 begins with line 2" in result.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--workers", "0"], "--workers needs a number from 1 to 4096, or auto, not '0'"),
        (["--workers", "-3"], "--workers needs a number from 1 to 4096, or auto, not '-3'"),
        (["--workers", "many"], "--workers needs a number from 1 to 4096, or auto, not 'many'"),
        (["--shard", "5/4"], "--shard needs I/N (part I of N), such as 3/64, not '5/4'"),
        (["--shard", "0/4"], "--shard needs I/N"),
        (["--shard", "1/4"], "--shard needs a file"),
        (["--workers", "2", "a fire"], "--workers needs a batch"),
        *[
            (["--ray", word], f"--ray needs local or HOST:PORT, not '{word}'")
            for word in ("head", "ray://h:1", ":1", "h:0")
        ],
    ],
)
def test_bad_usage_is_one_sentence(words: list[str], sentence: str) -> None:
    done = forked(*words, stdin="a fire\n")
    assert (done.status, done.stdout) == (ExitStatus.USAGE, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr

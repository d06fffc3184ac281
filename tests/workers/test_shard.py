"""Shards of a file; `python -m tests.torture shards` makes them in any order, some killed: the union is the whole."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.errors import ExitStatus, OutputError
from invoke.outputs import metadata
from invoke.workers.shard import Reservation, Shard, ShardFolder
from tests.batches import Batches, T
from tests.program import forked

LINES = ["!set -s 1", *(f"picture {k} -S {k}" for k in range(1, 40))]


@given(st.integers(1, 80), st.integers(0, 700))
def test_shards_partition_the_lines(count: int, lines: int) -> None:
    blocks = [Shard(index, count).block(lines) for index in range(1, count + 1)]
    assert [line for block in blocks for line in block] == list(range(1, lines + 1))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


def test_seeds_of_shards_depend_only_on_the_line() -> None:
    def draw(line: int) -> list[int]:
        seeds = Reservation(0, 7).seeds(line)
        return [seeds() for _ in range(3)]

    assert draw(5) == draw(5) != draw(6)
    assert len(set(draw(5) + draw(6))) == 6


def run(folder: Path, index: int, count: int, lines: list[str] = LINES, *, resume: bool = False, **more: object) -> T:
    shard = ShardFolder(Shard(index, count), "file", len(lines), resume=resume)
    return Batches(folder).run(lines, source="file", shard=shard, resume=resume, **more)  # type: ignore[arg-type]


def test_numbers_of_a_second_run_follow_the_first(tmp_path: Path) -> None:
    for index in (1, 2, 2, 1):
        run(tmp_path, index, 2)
    pictures = Batches(tmp_path).pictures
    assert len({path.name[:6] for path in pictures}) == 2 * 39
    last = metadata.read(pictures[-1])
    assert last is not None
    assert last.request is not None
    assert last.request.steps == 1, "the first line sets a default for all shards"


def test_a_picture_is_named_by_its_line_whichever_shard_comes_first(tmp_path: Path) -> None:
    """Numbers count the lines of the file; the first only sets a default."""
    (tmp_path / "000007.1.png").touch()
    for index in (3, 1, 2):
        run(tmp_path, index, 3)
    names = [path.name for path in Batches(tmp_path).pictures]
    assert names == ["000007.1.png", *(f"{k + 8:06}.{k}.png" for k in range(1, 40))]


def test_other_shards_of_the_same_file_have_numbers_of_their_own(tmp_path: Path) -> None:
    def base(index: int, count: int, source: str = "file") -> int:
        shard = ShardFolder(Shard(index, count), source, 40, resume=False)
        found = shard.join(tmp_path).base
        shard.close()
        return found

    assert [base(1, 4), base(2, 4), base(1, 8), base(3, 4), base(1, 4, "other"), base(8, 8)] == [0, 0, 40, 0, 80, 40]


GOOD = {"base": 7, "lines": 40, "run_seed": 5}


@pytest.mark.parametrize(
    ("changes", "is_read"),
    [
        ({}, True),
        ({"base": 0}, True),
        ({"base": 10**9, "run_seed": 2**32 - 1}, True),
        ({"base": 10**9 + 1}, False),
        ({"base": -1}, False),
        ({"base": 7.0}, False),
        ({"base": True}, False),
        ({"lines": 10**9 + 1}, False),
        ({"run_seed": 2**32}, False),
        ({"run_seed": "5"}, False),
    ],
)
def test_a_record_is_read_as_far_as_a_shard_can_have_written_it(
    tmp_path: Path, changes: dict[str, Any], is_read: bool
) -> None:
    (tmp_path / ".invoke-shards").mkdir()
    record = GOOD | changes
    (tmp_path / ".invoke-shards" / "file.4.1.json").write_text(json.dumps(record), encoding="utf-8")
    shard = ShardFolder(Shard(2, 4), "file", 40, resume=False)
    if is_read:
        assert shard.join(tmp_path) == Reservation(record["base"], record["run_seed"])
    else:
        assert "this file was not written by a shard" in refused(lambda: shard.join(tmp_path)).message
    shard.close()


def refused(do: Callable[[], object]) -> OutputError:
    with pytest.raises(OutputError) as caught:
        do()
    return caught.value


def test_conflicting_shards_are_refused(tmp_path: Path) -> None:
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


def test_a_reference_to_another_shard_is_an_error(tmp_path: Path) -> None:
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
def test_invalid_shards_are_refused(words: list[str], sentence: str) -> None:
    done = forked(*words, stdin="a fire\n")
    assert (done.status, done.stdout) == (ExitStatus.USAGE, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr

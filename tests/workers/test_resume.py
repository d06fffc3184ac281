"""`--resume` keeps its promises with workers, in whatever order they proceed."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from invoke.errors import ExitStatus
from invoke.outputs import logs
from invoke.outputs.ledger import NAME
from tests.batches import Batches, T
from tests.faults import Killed, full_after_one_picture, its_process_gone, killed_at_call
from tests.test_resume_files import LINES, forget_the_end, is_complete
from tests.workers.lanes import FakeLanes


class Workers(Batches):
    """Batches on workers in a random order that is the same in every run."""

    def __init__(self, folder: Path, count: int = 2, seed: int = 0) -> None:
        super().__init__(folder)
        self.count, self.seed = count, seed
        self.drawn: list[int] = []
        """The seeds of the last run, in their order."""

    def run(self, *lines: Any, **more: Any) -> T:
        lanes = FakeLanes(self.count, Random(self.seed))
        try:
            return super().run(*lines, **{"lanes": lanes} | more)
        finally:
            self.drawn = sorted(request.seed for engine in lanes.engines for request in engine.requests)


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    return Workers(tmp_path / "out")


def test_a_kill_at_any_system_call_can_be_resumed_with_workers(tmp_path: Path) -> None:
    """Resumed by more workers, by one, or by none."""
    for turn in range(2, 10_000, 17):
        batches = Workers(tmp_path / str(turn), seed=turn)
        with suppress(Killed), killed_at_call(turn) as made:
            batches.run(LINES)
        batches.count = 1 + turn % 3
        with its_process_gone():
            outcome = batches.run(LINES, resume=True, **({"lanes": None} if turn % 4 == 0 else {}))
        assert outcome.status is ExitStatus.OK, outcome.stderr
        is_complete(batches.folder)
        if len(made) < turn:
            return
    pytest.fail("there is no end of calls")


def test_workers_killed_and_resumed_repeatedly_complete_the_batch(workers: Workers) -> None:
    for turn in (20, 45, 60, 75, 15, 5):
        workers.seed, workers.count = turn, 1 + turn % 3
        with its_process_gone(), suppress(Killed), killed_at_call(turn):
            workers.run(LINES, resume=True)
    with its_process_gone():
        workers.run(LINES, resume=True)
    is_complete(workers.folder)
    assert workers.run(LINES, resume=True).status is ExitStatus.OK
    assert workers.drawn == []


def test_a_line_is_claimed_before_its_pictures_are_made(workers: Workers) -> None:
    with killed_at_call(10_000) as made:
        workers.run(["a cat -S 1"])
    claim = made.index("fsync")
    assert "link" not in made[:claim]
    assert made[: claim + 1].count("write") == 1


def test_the_rest_of_an_unfinished_line_is_made(workers: Workers) -> None:
    """With a ledger that records the pictures, or only their file names; also after a torn row."""
    line = ["a cat -n 4 -S 1 --save_intermediates 1"]
    workers.run(line)
    forget_the_end(workers.folder)
    ledger = workers.folder / NAME
    told = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(row for row in told if b".2.png" not in row) + b'{"run": "torn')
    for seed in (1, 3):
        (workers.folder / f"000001.{seed}.png").unlink()
    kept = {path: path.stat().st_ino for path in (workers.folder / "intermediates" / "000001.4").iterdir()}
    assert workers.run(line, resume=True).status is ExitStatus.OK
    assert workers.drawn == [1, 3]
    assert [path.name for path in workers.pictures] == [f"000001.{seed}.png" for seed in (1, 2, 3, 4)]
    assert {path: path.stat().st_ino for path in (workers.folder / "intermediates" / "000001.4").iterdir()} == kept


def test_a_missing_strip_is_made_again_and_the_pictures_kept(workers: Workers) -> None:
    workers.run(LINES)
    forget_the_end(workers.folder)
    before = {path.name: path.stat().st_ino for path in workers.folder.glob("0*")}
    lost = [path for path in workers.folder.glob("*.steps.gif") if path.name.startswith(("000001", "000002"))]
    for path in lost:
        path.unlink()
    outcome = workers.run(LINES, resume=True, as_json=True)
    assert sorted(Path(event["path"]).name for event in outcome.of_type("file")) == sorted(path.name for path in lost)
    assert outcome.of_type("image") == []
    is_complete(workers.folder)
    after = {path.name: path.stat().st_ino for path in workers.folder.glob("0*")}
    assert {name for name in after if before[name] != after[name]} <= {path.name for path in lost}


def test_deleted_pictures_are_made_again_with_a_note(workers: Workers) -> None:
    lines = ["a cat -n 3 -S 1", "a dog -S 9"]
    workers.run(lines)
    for seed in (1, 3):
        (workers.folder / f"000001.{seed}.png").unlink()
    outcome = workers.run(lines, resume=True)
    assert "note: 2 finished pictures are missing and will be made again" in outcome.stderr
    assert "1 line skipped" in outcome.stderr
    assert workers.drawn == [1, 3]
    assert workers.prompts() == {"a cat": 3, "a dog": 1}


@pytest.mark.parametrize(("first", "then"), [(4, 1), (1, 4), (3, 2)])
def test_another_batch_size_resumes_the_same_batch(first: int, then: int, workers: Workers) -> None:
    lines = ["a cat -n 5 -S 1", "a dog -S 9"]
    workers.run(lines, batch_size=first)
    forget_the_end(workers.folder)
    for seed in (2, 4):
        (workers.folder / f"000001.{seed}.png").unlink()
    workers.run(lines, resume=True, batch_size=then)
    assert workers.drawn == [2, 4]
    assert workers.prompts() == {"a cat": 5, "a dog": 1}


def test_rows_missing_from_the_logs_are_added_once(workers: Workers) -> None:
    workers.run(LINES)
    forget_the_end(workers.folder)
    text = workers.folder / logs.TEXT
    whole = text.read_text(encoding="utf-8")
    text.write_text("".join(whole.splitlines(keepends=True)[:3]) + "torn", encoding="utf-8")
    (workers.folder / logs.MARKDOWN).unlink()
    workers.run(LINES, resume=True)
    assert workers.drawn == []
    is_complete(workers.folder)
    assert sorted(text.read_text(encoding="utf-8").splitlines()) == sorted(whole.splitlines())


@pytest.mark.parametrize("turns", [range(1), range(4), range(3, 7)])
def test_a_ledger_that_is_temporarily_unwritable_loses_no_rows(turns: range, workers: Workers) -> None:
    """The first call fails, the first four, and some later ones."""
    lines = ["a cat -S 1", "a dog -S 2", "a bird -S 3", "a hen -S 4"]
    real, tries = os.open, iter(range(1000))

    def failing(path: Any, flags: int, *rest: Any) -> int:
        if str(path).endswith(NAME) and flags & os.O_APPEND and next(tries) in turns:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, flags, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", failing)
        outcome = workers.run(lines, quiet=True)
    assert next(tries) > turns.stop, "all of them were met"
    assert outcome.status is ExitStatus.OK
    assert outcome.stderr.count("warning: this batch cannot be resumed until this is fixed: ") == 1
    workers.run(lines, resume=True)
    assert workers.drawn == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_full_output_folder_ends_the_batch_with_status_3(workers: Workers, code: int) -> None:
    lines = [f"a cat -S {seed}" for seed in range(20)]
    with full_after_one_picture(code):
        outcome = workers.run(lines)
    assert outcome.status is ExitStatus.UNUSABLE
    assert len(workers.drawn) <= 4 * workers.count + 1, "what is in work is finished, and nothing begun"
    assert outcome.stderr.count("error: ") == len(workers.drawn) - 1
    assert len(workers.pictures) == 1
    assert workers.run(lines, resume=True).status is ExitStatus.OK
    assert [path.name for path in workers.pictures] == [f"{seed + 1:06}.{seed}.png" for seed in range(20)]

"""`kill -9` at random moments, and `--resume` after each: every picture exactly once, none torn (spec, section 8)."""

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from invoke.cli.resume import identity
from invoke.models import read_registry
from invoke.outputs.ledger import Ledger, PictureRow
from invoke.session import Session
from tests.batches import Batches
from tests.fakes import FakeEngine
from tests.patience import PATIENCE, until
from tests.program import COMMAND, ROOT, invoke, running
from tests.torture import forks

LINES = [f"picture {index // 2}" + (" -n 2" if index % 10 == 0 else "") for index in range(200)]
PICTURES = Counter(line.removesuffix(" -n 2") for line in LINES) + Counter(f"picture {5 * k}" for k in range(20))
"""Pictures per prompt: most lines occur twice in the file."""


class Hanging(FakeEngine):
    """Makes at most `most` pictures, so that the program is still running when it is killed."""

    def __init__(self, most: int) -> None:
        super().__init__(at_step=self._hang)
        self._most = most

    def _hang(self, index: int) -> None:
        if len(self.requests) > self._most:
            time.sleep(10 * PATIENCE)


def _numbers(folder: Path) -> list[int]:
    """The number of each line that has pictures."""
    return sorted({int(path.name[:6]) for path in folder.glob("0*.png")})


@pytest.mark.slow
def test_a_batch_of_200_lines_survives_twelve_kills(tmp_path: Path) -> None:
    batches, random = Batches(tmp_path / "out"), Random(9)
    for attempt in range(12):
        seen, after = len(batches.pictures), random.randrange(8)

        def work(most: int = after + 8, is_resumed: bool = attempt > 0) -> tuple[int, str]:
            return int(batches.run(LINES, Hanging(most), resume=is_resumed).status), ""

        pid = forks.begin(work, tmp_path / "said")
        until(lambda wanted=seen + after: len(batches.pictures) >= wanted)  # type: ignore[misc]
        time.sleep(random.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert forks.wait(pid, tmp_path / "said", PATIENCE).status == -signal.SIGKILL
    assert batches.run(LINES, resume=True).engine.requests, "something was left to be made"
    assert batches.prompts() == PICTURES
    assert len(_numbers(batches.folder)) == 200
    assert batches.run(LINES, resume=True).engine.requests == []


@pytest.mark.slow
def test_the_real_program_is_killed_and_resumed(tmp_path: Path) -> None:
    """Its input stays open, so that it is still running when killed."""
    batches, lines = Batches(tmp_path / "out"), ["!set -s 1", *LINES[:30]]
    words = ["-q", "-W", "64", "-H", "64", "-o", batches.folder]
    for given, after, more in ((16, 7, []), (26, 11, ["--resume"])):
        with running(*words, *more) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n".join(lines[:given]) + "\n")
            assert all(process.stdout.readline() for _ in range(after))
            process.kill()
    done = invoke(*words, "--resume", stdin="\n".join(lines))
    assert done.status == 0
    assert 0 < len(done.paths) <= 33 - 7 - 11
    assert sum(batches.prompts().values()) == 33
    assert len(_numbers(batches.folder)) == 30
    with (batches.folder / "invoke_log.txt").open(encoding="utf-8") as log:
        assert sum(" -s 1 " in row for row in log) >= 32, "what the file sets holds for resumed lines, too"


@pytest.mark.slow
def test_memory_stays_flat_over_planned_lines() -> None:
    """In KiB; a line itself is more than 300 bytes."""
    few, many = _peaks_of_planning(6_000, early=3_000)
    assert many < few + 400


def _peaks_of_planning(count: int, *options: str, early: int = 0) -> tuple[int, int]:
    """Kilobytes of memory that a dry run of so many lines has needed by line `early`, and by the last.

    Each is looked at when the line is written, which the program reads a few hundred lines later. What `wait4`
    says of the most memory counts that of the process which began it.
    """
    process = subprocess.Popen(
        [*COMMAND, "--dry-run", "-q", *options], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    with process, process.stdin:  # type: ignore[union-attr]
        first = 0
        for index in range(count):
            if index == early:
                first = _peak(process.pid)
            process.stdin.write(f"{_line(index)}\n")  # type: ignore[union-attr]
        last = _peak(process.pid)
    assert process.wait() == 0
    return first, last


def _line(index: int) -> str:
    return f"picture {index} {'of a castle on a hill ' * 14} -n 2"


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


@pytest.mark.slow
def test_memory_stays_flat_over_resumed_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    peaks = []
    for count in (2_000, 4_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        session, ledger = Session(FakeEngine(), read_registry()), Ledger()
        for index in range(count):
            entry = ledger.entry(folder, identity(_line(index), session))
            entry = ledger.claim(entry, index + 1, [index])
            (folder / f"{index + 1:06}.{index}.png").touch()
            ledger.made(entry, PictureRow("0", f"{index + 1:06}.{index}.png", index))
            ledger.finish(entry)
        ledger.close()
        peaks.append(_peaks_of_planning(count, "--resume", "-o", str(folder))[1])
    # in KiB: the names of the 2,000 further pictures in the folder are listed, some 500 bytes each; nothing else grows
    assert peaks[1] - peaks[0] < 2_000 * 750 / 1024

"""`kill -9` at random moments, and `--resume` after each: every picture exactly once, none torn (spec, section 8)."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from invoke.cli.resume import identity
from invoke.models import read_registry
from invoke.outputs.ledger import Ledger, PictureRow
from invoke.session import Session
from tests import preloaded
from tests.batches import Batches
from tests.fakes import FakeEngine
from tests.program import COMMAND, ROOT

LINES = [f"picture {index // 2}" + (" -n 2" if index % 10 == 0 else "") for index in range(200)]
PICTURES = Counter(line.removesuffix(" -n 2") for line in LINES) + Counter(f"picture {5 * k}" for k in range(20))
"""Of each prompt: most lines come twice in the file."""


def _run_and_kill(command: Sequence[str], after: int, pause: float) -> bool:
    """Start `command` and kill it `pause` seconds after it has printed `after` lines; False if it had ended before."""
    env = os.environ | preloaded.environment()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        for _ in range(after):
            process.stdout.readline()
        time.sleep(pause)
        process.kill()
        process.communicate()
    return process.returncode < 0


def _numbers(folder: Path) -> list[int]:
    """The number of each line that has pictures."""
    return sorted({int(path.name[:6]) for path in folder.glob("0*.png")})


@pytest.mark.slow
def test_twelve_kills_of_two_hundred_lines(tmp_path: Path) -> None:
    lines, batches, random = tmp_path / "lines.txt", Batches(tmp_path / "out"), Random(9)
    lines.write_text("\n".join(LINES), encoding="utf-8")
    command = [sys.executable, "-m", "tests.batch_program", str(lines), str(batches.folder)]
    kills = [_run_and_kill(command, random.randrange(8), random.uniform(0, 0.03))]
    while len(kills) < 12:
        kills.append(_run_and_kill([*command, "--resume"], random.randrange(8), random.uniform(0, 0.03)))
    assert all(kills), "the batch ended before it could be killed twelve times"
    last = subprocess.run([*command, "--resume"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert last.stdout, "something was left to be made"
    assert batches.prompts() == PICTURES
    assert len(_numbers(batches.folder)) == 200
    again = subprocess.run([*command, "--resume"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert again.stdout == ""


@pytest.mark.slow
def test_the_real_program_is_killed_and_resumed(tmp_path: Path) -> None:
    lines, batches = tmp_path / "lines.txt", Batches(tmp_path / "out")
    lines.write_text("!set -s 1\n" + "\n".join(LINES[:30]), encoding="utf-8")
    command = [*COMMAND, "-q", "-W", "64", "-H", "64", "-o", str(batches.folder), "--from-file", str(lines)]
    assert _run_and_kill(command, 7, 0.02)
    assert _run_and_kill([*command, "--resume"], 11, 0.05)
    done = subprocess.run([*command, "--resume"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert 0 < len(done.stdout.splitlines()) <= 33 - 7 - 11
    assert sum(batches.prompts().values()) == 33
    assert len(_numbers(batches.folder)) == 30
    with (batches.folder / "invoke_log.txt").open(encoding="utf-8") as log:
        assert sum(" -s 1 " in row for row in log) >= 32, "what the file sets holds for resumed lines, too"


@pytest.mark.slow
def test_memory_stays_flat_over_planned_lines() -> None:
    """In KiB; a line itself is more than 60 bytes."""
    few, many = _peaks_of_planning(16_000, early=8_000)
    assert many < few + 400


def _peaks_of_planning(count: int, *options: str, early: int = 0) -> tuple[int, int]:
    """Kilobytes of memory that a dry run of so many lines has needed by line `early`, and by the last.

    Each is looked at when the line is written, which the program reads at most a few thousand lines later. What
    `wait4` says of the most memory counts that of the process which began it.
    """
    process = subprocess.Popen(
        [*COMMAND, "--dry-run", "-q", *options], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    with process, process.stdin:  # type: ignore[union-attr]
        first = 0
        for index in range(count):
            if index == early:
                first = _peak(process.pid)
            process.stdin.write(f"picture {index} -n 2\n")  # type: ignore[union-attr]
        last = _peak(process.pid)
    assert process.wait() == 0
    return first, last


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


@pytest.mark.slow
def test_memory_stays_flat_over_resumed_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    peaks = []
    for count in (5_000, 10_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        session, ledger = Session(FakeEngine(), read_registry()), Ledger()
        for index in range(count):
            entry = ledger.entry(folder, identity(f"picture {index} -n 2", session))
            entry = ledger.claim(entry, index + 1, [index])
            (folder / f"{index + 1:06}.{index}.png").touch()
            ledger.made(entry, PictureRow("0", f"{index + 1:06}.{index}.png", index))
            ledger.finish(entry)
        ledger.close()
        peaks.append(_peaks_of_planning(count, "--resume", "-o", str(folder))[1])
    # in KiB: the names of the 5,000 further pictures in the folder are listed, some 500 bytes each; nothing else grows
    assert peaks[1] - peaks[0] < 5_000 * 750 / 1024

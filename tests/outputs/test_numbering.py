"""One number per line, whoever else counts in the same folder."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke import files
from invoke.outputs.numbering import FOLDER, Numbers, highest

CLAIMS = """
import sys
from itertools import count
from pathlib import Path
from invoke.outputs.numbering import Numbers
numbers = Numbers(Path(sys.argv[1]))
sys.stdin.readline()
for _ in range(int(sys.argv[2])) if len(sys.argv) > 2 else count():
    print(numbers.claim(), flush=True)
"""


def claimer(folder: Path, *count: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLAIMS, str(folder), *count],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def claimed(children: list[subprocess.Popen[str]]) -> list[int]:
    outputs = [child.communicate()[0] for child in children]
    return [int(word) for output in outputs for word in output.split()]


def test_eight_processes_never_share_a_number(tmp_path: Path) -> None:
    children = [claimer(tmp_path, "50") for _ in range(8)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert sorted(claimed(children)) == list(range(1, 401))
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]


def test_kill_9_never_gives_a_number_twice(tmp_path: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        children = [claimer(tmp_path) for _ in range(2)]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
            assert child.stdout is not None
            seen.append(int(child.stdout.readline()))
        time.sleep(random.uniform(0, 0.03))
        for child in children:
            child.send_signal(signal.SIGKILL)
        seen += claimed(children)
    assert len(seen) == len(set(seen))
    assert Numbers(tmp_path).claim() > max(seen)


def test_numbers_continue_after_existing_files(tmp_path: Path) -> None:
    (tmp_path / "000041.7.png").touch()
    numbers = Numbers(tmp_path)
    assert [numbers.claim(), numbers.claim()] == [42, 43]
    (tmp_path / "000041.7.png").unlink()
    assert Numbers(tmp_path).claim() == 44


def test_files_of_other_programs_are_counted_at_the_next_start(tmp_path: Path) -> None:
    Numbers(tmp_path).claim()
    (tmp_path / "000100.7.png").touch()
    numbers = Numbers(tmp_path)
    numbers.scan()
    assert numbers.claim() == 101


def test_a_deleted_counter_is_made_again(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path)
    assert numbers.claim() == 1
    next((tmp_path / FOLDER).iterdir()).unlink()
    assert numbers.claim() == 2
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["next-000003"]


def test_an_invalid_counter_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "notes").touch()
    with pytest.raises(OSError, match="cannot be assigned"):
        Numbers(tmp_path, tries=5).claim()
    with pytest.raises(FileNotFoundError):
        Numbers(tmp_path / "nowhere").claim()


def test_temporary_counters_of_dead_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 2**22 + 1)
        (tmp_path / files.temporary_name(FOLDER)).mkdir()
        (tmp_path / files.temporary_name("a.png")).touch()
    Numbers(tmp_path).scan()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], 0),
        (["000032.1592514025.png", "000031.grid.png", "notes.txt"], 32),
        (["1234567.1.png"], 1234567),
        (["00009.png", "20260101123456.jpg", "1592514025.png", "cat.000050.png"], 0),
        (["000007.42.steps.gif", "000008.custom"], 8),
    ],
)
def test_highest_finds_the_largest_number_of_any_names(names: list[str], expected: int) -> None:
    assert highest(names) == expected


@given(st.lists(st.integers(1, 10**9 - 1), min_size=1))
def test_highest_finds_the_largest_number_of_our_names(numbers: list[int]) -> None:
    assert highest(f"{number:06}.1.png" for number in numbers) == max(numbers)

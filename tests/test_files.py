"""A file is complete or absent, whatever fails and whenever the process is killed."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invoke import files

DATA = b"0123456789" * 1000
CALLS = ("open", "write", "fsync", "close", "link", "replace", "unlink")


def alternatives(folder: Path) -> list[Path]:
    return [folder / "a.png", folder / "a-01.png", folder / "a-02.png"]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_written_file_is_complete_without_temporary_files(tmp_path: Path) -> None:
    assert files.write_new(alternatives(tmp_path), DATA) == tmp_path / "a.png"
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", DATA)]


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a-01.png").mkdir()
    assert files.write_new(alternatives(tmp_path), DATA) == tmp_path / "a-02.png"
    with pytest.raises(FileExistsError):
        files.write_new(alternatives(tmp_path), b"other")
    assert names(tmp_path) == {"a-01.png", "a-02.png", "a.png"}
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "a-02.png").read_bytes() == DATA


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_an_existing_file_is_not_overwritten_without_hard_links(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """exFAT, SMB: the name is reserved first, and never taken from an existing file."""

    def refused(*given: Any, **named: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refused)
    (tmp_path / "a.png").write_bytes(b"mine")
    (tmp_path / "a-01.png").symlink_to(tmp_path / "elsewhere")
    assert files.write_new(alternatives(tmp_path), DATA) == tmp_path / "a-02.png"
    with pytest.raises(FileExistsError):
        files.write_new(alternatives(tmp_path), b"other")
    assert names(tmp_path) == {"a-01.png", "a-02.png", "a.png"}
    assert (tmp_path / "a.png").read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "a-02.png").read_bytes() == DATA


def test_a_folder_that_is_a_link_is_written_to(tmp_path: Path) -> None:
    """Only the last component of a path is checked: a home folder may be a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write_new([tmp_path / "link" / "a.png"], DATA)
    files.append(tmp_path / "link" / "log", b"row\n")
    files.replace(tmp_path / "link" / "list", b"one")
    assert names(tmp_path / "real") == {"a.png", "log", "list"}
    assert files.read_file(tmp_path / "link" / "a.png", len(DATA)) == DATA
    with pytest.raises(OSError, match="larger than 9,999 bytes"):
        files.read_file(tmp_path / "link" / "a.png", len(DATA) - 1)


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        assert files.write_new([tmp_path / "a"], DATA).stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


class Faults:
    """Counts calls of `os` and makes one fail, and with `links` False every hard link."""

    def __init__(self, turn: int, number: int, links: bool, patch: pytest.MonkeyPatch) -> None:
        self.turn, self.number, self.links = turn, number, links
        self.made: list[str] = []
        for name in CALLS:
            patch.setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            self.made.append(name)
            if len(self.made) == self.turn:
                if name == "close":
                    real(*args)
                raise OSError(self.number, os.strerror(self.number))
            if name == "link" and not self.links:
                raise OSError(errno.EPERM, "no hard links here")
            return real(*args, **named)

        return call


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_call_leaves_no_partial_file(tmp_path: Path, number: int, links: bool) -> None:
    """The first call fails, then the second, …, until a round has no fault (SQLite's method)."""
    for turn in range(1, 40):
        folder = tmp_path / str(turn)
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(turn, number, links, patch)
            try:
                saved = files.write_new([folder / "a.png"], DATA) == folder / "a.png"
            except OSError:
                saved = False
        there = {path.name: path.read_bytes() for path in folder.iterdir()}
        left = {name for name in there if name.endswith(".tmp")}
        assert there.keys() - left == ({"a.png"} if saved else set()), (turn, faults.made)
        assert not saved or there["a.png"] == DATA
        assert not left or faults.made[turn - 1] == "unlink"
        if len(faults.made) < turn:
            assert saved
            return
    pytest.fail("there is no end of calls")


def test_file_and_folder_are_flushed_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults(0, 0, True, monkeypatch)
    files.write_new([tmp_path / "a"], DATA)
    made = ["open", "write", "fsync", "close", "link", "unlink", "open", "fsync", "close"]
    assert faults.made == made


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:999]))
    assert files.write_new([tmp_path / "a"], DATA).read_bytes() == DATA


def test_an_interrupt_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_new([tmp_path / "a"], DATA)
    assert list(tmp_path.iterdir()) == []


WRITES_FOREVER = """
import sys
from itertools import count
from pathlib import Path
from invoke import files
print("ready", flush=True)
for number in count():
    files.write_new([Path(sys.argv[1]) / f"{number:06}.png"], bytes([number % 256]) * 500_000)
"""


def test_kill_9_while_writing_leaves_no_partial_file(tmp_path: Path) -> None:
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", WRITES_FOREVER, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        while not [*tmp_path.glob("[0-9]*.png")]:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        for path in tmp_path.glob("[0-9]*.png"):
            assert path.read_bytes() == bytes([int(path.stem) % 256]) * 500_000
            path.unlink()
        files.remove_stale(tmp_path, names(tmp_path))
        assert names(tmp_path) == set()


def test_only_temporary_files_of_dead_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = files.temporary_name("a.png")
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)
    dead = files.temporary_name("a.png")
    dead_folder = files.temporary_name("numbers")
    elsewhere = dead[:-20] + "00000000" + dead[-12:]
    forgotten = elsewhere.replace("00000000", "00000001")
    for name in (mine, dead, elsewhere, forgotten, "a.png", ".a.tmp", "notes.1.tmp"):
        (tmp_path / name).write_bytes(DATA)
    (tmp_path / dead_folder).mkdir()
    os.utime(tmp_path / forgotten, (0, 0))
    files.remove_stale(tmp_path, names(tmp_path))
    assert names(tmp_path) == {mine, elsewhere, "a.png", ".a.tmp", "notes.1.tmp"}


def test_a_file_that_cannot_be_removed_does_not_stop_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)
    stuck, gone = files.temporary_name("a.png"), files.temporary_name("b.png")
    for name in (stuck, gone):
        (tmp_path / name).write_bytes(DATA)
    real = Path.unlink

    def refusing(path: Path, **named: Any) -> None:
        if path.name == stuck:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        real(path, **named)

    monkeypatch.setattr(Path, "unlink", refusing)
    files.remove_stale(tmp_path, [stuck, gone])
    assert names(tmp_path) == {stuck}


def test_rows_are_appended_and_a_torn_one_is_terminated(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for row in (b"one\n", b"two\n"):
        files.append(path, row)
    assert path.read_bytes() == b"one\ntwo\n"
    path.write_bytes(b"one\nto")
    files.append(path, b"three\n")
    assert path.read_bytes() == b"one\nto\nthree\n"
    path.write_bytes(b"one\nto")
    files.drop_torn_row(path)
    assert path.read_bytes() == b"one\n"


def test_a_large_file_gets_its_name_at_the_end_and_never_one_that_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with files.making(path) as temporary:
        temporary.write_bytes(DATA)
        assert not path.exists()
    assert (names(tmp_path), path.read_bytes()) == ({"large"}, DATA)
    with pytest.raises(FileExistsError), files.making(path) as temporary:
        temporary.write_bytes(b"other")
    assert (names(tmp_path), path.read_bytes()) == ({"large"}, DATA)

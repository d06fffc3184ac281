"""Every file that the program writes, with something else in its place: refused or passed over, never hung, never
followed, and what is elsewhere stays as it was."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from invoke.errors import ExitStatus, InvokeError
from invoke.language.config_file import read_settings, write_commented
from invoke.language.presets import write_presets
from invoke.models.list_editing import set_entry
from invoke.models.yaml_lists import read_rows
from invoke.outputs import logs, moving, received
from invoke.outputs.gallery import write_gallery
from invoke.outputs.ledger import NAME as LEDGER
from invoke.outputs.speeds import Speed, Speeds
from invoke.outputs.writer import sentences
from invoke.shell.history import History
from invoke.workers.shard import Shard, ShardFolder
from tests.batches import Batches
from tests.shell.talk import Talk

ELSEWHERE = "somebody's own\n"


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/full")


def _folder(path: Path) -> None:
    path.mkdir()


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def _link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "bashrc")


def _unreadable(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0 nothing that can be read \xff" * 9)


PLACED: dict[str, Callable[[Path], None]] = {
    "FIFO": _fifo,
    "device": _device,
    "folder": _folder,
    "dangling link": _dangling,
    "link elsewhere": _link,
    "unreadable": _unreadable,
}


def _batch(path: Path) -> object:
    """Pictures do not depend on a log or ledger."""
    outcome = Batches(path.parent).run(["a cat -S 1"])
    assert outcome.status is ExitStatus.OK
    assert [picture.name for picture in Batches(path.parent).pictures] == ["000001.1.png"]
    return outcome


def _steps(path: Path) -> object:
    return Batches(path.parent).run(["a cat -S 1 --save_intermediates 1"])


def _gallery(path: Path) -> object:
    shutil.copy("test-pictures/fire-drawing.png", path.parent / "000001.1.png")
    return list(write_gallery(path.parent))


def _fetch(path: Path) -> object:
    Batches(path.parent / "made").run(["a cat -S 1"])
    talk = Talk(path.parent)
    talk.type(f"!fetch {path.parent / 'made' / '000001.1.png'} {path}")
    return talk.err


def _speeds(path: Path) -> object:
    speeds = Speeds(path)
    speeds.learn(Speed("pocket", 64, 64, "cpu", "float32", 1, 1, 0.1, 0.2))
    speeds.save()
    return None


def _shards(path: Path) -> object:
    shards = ShardFolder(Shard(1, 2), "lines", 4, resume=False)
    with sentences(path.parent), closing(shards):
        return shards.join(path.parent)


def _kept(path: Path) -> object:
    shutil.copy("test-pictures/fire-drawing.png", path.parent / "000001.1.png")
    return moving.move(path.parent / "000001.1.png", path.name)


def _history(path: Path) -> object:
    return History(path).keep("a cat")


FILES: dict[str, Callable[[Path], object]] = {
    logs.TEXT: _batch,
    logs.MARKDOWN: _batch,
    LEDGER: _batch,
    "intermediates": _steps,
    ".invoke-numbers": lambda path: Batches(path.parent).run(["a cat -S 1"]),
    "000001.1.png": lambda path: Batches(path.parent).run(["a cat -S 1"]),
    "000001.1.steps.gif": lambda path: Batches(path.parent).run(["a cat -S 1 --gif"]),
    "000001.grid.png": lambda path: Batches(path.parent).run(["a cat -S 1 --grid"]),
    "gallery.html": _gallery,
    "lines.txt": _fetch,
    "models.yaml": lambda path: set_entry(path, "mine", {"weights": "a/b"}),
    "models.yaml, read": lambda path: read_rows(path.with_name("models.yaml")),
    "config.yaml": write_commented,
    "config.yaml, read": lambda path: read_settings(path.with_name("config.yaml")),
    "presets.yaml": lambda path: write_presets(path, {"oil": "oil painting"}),
    "piped": lambda path: received.keep(Path("test-pictures/fire-drawing.png").read_bytes(), path),
    "kept": _kept,
    ".invoke-shards": _shards,
    "speeds.json": _speeds,
    "history": _history,
}


FOLDERS = {"intermediates", ".invoke-numbers", "piped", "kept", ".invoke-shards"}


@pytest.mark.parametrize("placed", PLACED)
@pytest.mark.parametrize("name", FILES)
def test_anything_in_the_place_of_a_file_is_refused_or_ignored(name: str, placed: str, tmp_path: Path) -> None:
    bashrc = tmp_path / "bashrc"
    bashrc.write_text(ELSEWHERE, encoding="utf-8")
    path = tmp_path / "here" / name.removesuffix(", read")
    path.parent.mkdir()
    PLACED[placed](path)
    before = os.lstat(path)
    try:
        FILES[name](path.with_name(name))
    except InvokeError as error:
        assert "\n" not in error.message
        assert path.name in error.message or "000001" in name
    assert bashrc.read_text(encoding="utf-8") == ELSEWHERE
    assert not (path.parent / "nowhere").exists(), "a dangling link makes nothing"
    after = os.lstat(path)
    belongs_there = placed == "folder" and name in FOLDERS
    if placed != "unreadable" and not belongs_there:
        assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode), "it is not replaced"


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith("read")])
def test_a_full_disk_leaves_no_partial_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "here" / name
    path.parent.mkdir()
    if name == "gallery.html":
        shutil.copy("test-pictures/fire-drawing.png", path.parent / "000001.1.png")

    def full(descriptor: int, data: bytes = b"") -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(os, "fsync", full)  # where what is buffered meets the disk
        try:
            FILES[name](path)
        except (InvokeError, AssertionError) as error:
            assert "full" in str(error) or "No space left" in str(error) or "ExitStatus" in str(error)
    if path.is_file():
        assert path.read_bytes() == b"", "made, and nothing of a row written"
    assert not list(path.parent.rglob("*.tmp"))


@pytest.mark.parametrize("name", FILES)
def test_a_path_that_is_too_long_is_one_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300) / name.removesuffix(", read")
    try:
        if name in {"lines.txt", "gallery.html", "kept"}:
            return  # the named file is looked for first
        if name == "history":
            assert "File name too long" in History(path).note
        else:
            outcome = FILES[name](path) if not name.startswith((".", "0", "i")) else _unwritten(path)
            assert outcome is None or outcome == {} or name.endswith("read")
    except InvokeError as error:
        assert "File name too long" in error.message


def _unwritten(path: Path) -> None:
    outcome = Batches(path.parent).run(["a cat -S 1"])
    assert outcome.status is ExitStatus.UNUSABLE
    assert "File name too long" in outcome.stderr

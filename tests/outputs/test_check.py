"""`!check`: any damage in a folder is found and named, with its repair; an intact folder has no findings."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from invoke.errors import ExitStatus
from invoke.outputs import logs
from invoke.outputs.check import Checked, Finding, check_folder
from invoke.outputs.ledger import NAME, Ledger
from tests.batches import Batches

LINES = ["a cat --strip --gif -n 2 -S 1", "a dog -S 5 --grid"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "out"
    Batches(folder).run(LINES)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "out"))


def _rows(folder: Path) -> list[bytes]:
    return (folder / NAME).read_bytes().splitlines(keepends=True)


def _without(name: str, what: bytes) -> Callable[[Path], None]:
    """Take the rows of a file away that hold `what`."""

    def spoil(folder: Path) -> None:
        rows = (folder / name).read_bytes().splitlines(keepends=True)
        (folder / name).write_bytes(b"".join(row for row in rows if what not in row))

    return spoil


def _with(name: str, what: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(what)

    return spoil


def _cut(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - 20)


def _flip(folder: Path) -> None:
    data = bytearray((folder / "000002.5.png").read_bytes())
    data[-30] ^= 1
    (folder / "000002.5.png").write_bytes(data)


def _link(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        shutil.move(folder / name, folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")

    return spoil


SPOILED: dict[str, tuple[Callable[[Path], None], list[tuple[str, tuple[str, ...]]]]] = {
    "picture gone": (
        lambda folder: (folder / "000001.2.png").unlink(),
        [("missing", ("000001.2.png",))] * 3,
    ),
    "picture cut": (_cut("000001.1.png"), [("torn", ("000001.1.png",))]),
    "bit flipped": (_flip, [("torn", ("000002.5.png",))]),
    "strip cut": (_cut("000001.1.steps.png"), [("torn", ("000001.1.steps.png",))]),
    "animation cut": (_cut("000001.2.steps.gif"), [("torn", ("000001.2.steps.gif",))]),
    "row of the log gone": (_without(logs.TEXT, b"000002.5"), [("unlisted", ("000002.5.png",))]),
    "both rows gone": (
        lambda folder: [_without(log, b"000002.5")(folder) for log in (logs.TEXT, logs.MARKDOWN)] and None,
        [("unlisted", ("000002.5.png",))] * 2,
    ),
    "row twice": (_with(logs.TEXT, b"x/000002.5.png: a dog\n"), [("double", ("000002.5.png",))]),
    "row of the ledger twice": (
        lambda folder: _with(NAME, next(row for row in _rows(folder) if b"000001.2.png" in row))(folder),
        [("double", ("000001.2.png",))],
    ),
    "torn row": (_with(NAME, b'{"run": "5f'), [("torn", ("1 row",))]),
    "killed": (_without(NAME, b'"done"'), [("unfinished", ("000001", "000002"))]),
    "log a link": (
        _link(logs.TEXT),
        [("not ours", (logs.TEXT,)), ("unlisted", ("000001.1.png", "000001.2.png", "000002.5.png"))],
    ),
    "ledger a link": (_link(NAME), [("not ours", (NAME,))]),
    "intermediates a link": (
        lambda folder: (folder / "intermediates").symlink_to(folder.parent),
        [("not ours", ("intermediates",))],
    ),
    "gallery a FIFO": (lambda folder: os.mkfifo(folder / "gallery.html"), [("not ours", ("gallery.html",))]),
    "two counters": (
        lambda folder: (folder / ".invoke-numbers" / "next-000001").touch(),
        [("double", ("next-000001", "next-000003"))],
    ),
    "counter behind": (
        lambda folder: (folder / "000007.1.orig.png").write_bytes((folder / "000002.5.png").read_bytes()) and None,
        [("unlisted", ("000007.1.orig.png",)), ("unlisted", ("000007.1.orig.png",)), ("double", ("next-000003",))],
    ),
    "counter at the last": (
        lambda folder: (folder / "000003.grid.png").write_bytes((folder / "000002.5.png").read_bytes()) and None,
        [("double", ("next-000003",))],
    ),
    "left aside": (
        lambda folder: (
            (folder / ".a.png.99999999.0000000012345678.tmp").touch()
            or os.utime(folder / ".a.png.99999999.0000000012345678.tmp", (0, 0))
        ),
        [("left behind", (".a.png.99999999.0000000012345678.tmp",))],
    ),
}


def test_a_gif_of_many_pixels_is_looked_at_for_a_while(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("L", (64, 64), level) for level in range(9)]
    frames[0].save(folder / "000001.1.steps.gif", save_all=True, append_images=frames[1:])
    monkeypatch.setattr("invoke.outputs.check.MOST_PIXELS", 3 * 64 * 64)
    assert not check_folder(folder).findings
    whole = (folder / "000001.1.steps.gif").read_bytes()
    for torn in (whole[:-1], whole[:13], b"GIF89a" + b"\xff" * 4 + whole[10:]):
        (folder / "000001.1.steps.gif").write_bytes(torn)
        assert [finding.what for finding in check_folder(folder).findings] == ["torn"]


@pytest.mark.parametrize("kind", SPOILED)
def test_each_kind_of_damage_is_found(kind: str, folder: Path) -> None:
    spoil, expected = SPOILED[kind]
    spoil(folder)
    before = sorted((path, path.lstat().st_mtime_ns) for path in folder.rglob("*"))
    checked = check_folder(folder)
    assert sorted((finding.what, finding.names) for finding in checked.findings) == sorted(expected)
    assert all(finding.mend for finding in checked.findings)
    assert sorted((path, path.lstat().st_mtime_ns) for path in folder.rglob("*")) == before, "nothing is changed"


def test_an_intact_folder_has_no_findings(sound: Path) -> None:
    assert str(check_folder(sound)) == "8 pictures and 14 rows of logs and ledgers: no problems"


def test_kept_and_dropped_pictures_are_not_missing(folder: Path) -> None:
    for name, into in (("000001.1.png", "kept"), ("000001.2.png", ".trash")):
        (folder / into).mkdir()
        (folder / name).rename(folder / into / name)
    assert check_folder(folder).findings == ()
    assert Batches(folder).run(LINES, resume=True).engine.requests == []


def test_the_lines_of_a_running_batch_are_not_unfinished(folder: Path) -> None:
    _without(NAME, b'"done"')(folder)
    running = Ledger()
    running.entry(folder, "ab")
    assert check_folder(folder).findings == ()
    running.close()


def test_a_batch_made_again_has_no_unfinished_lines(folder: Path) -> None:
    _without(NAME, b'"done"')(folder)
    Batches(folder).run(LINES)
    assert check_folder(folder).findings == ()


def test_check_prints_the_findings_and_exits_with_1(folder: Path) -> None:
    batches = Batches(folder)
    fine = batches.run(["!check"])
    assert (fine.status, fine.stdout) == (
        ExitStatus.OK,
        f"{folder}: 8 pictures and 14 rows of logs and ledgers: no problems\n",
    )
    (folder / "000001.2.png").unlink()
    bad = batches.run([f"!check {folder}"])
    assert bad.status is ExitStatus.FAILED
    assert "missing: 000001.2.png (invoke_log.txt): the line in the log makes it again\n" in bad.stdout
    assert "7 pictures and 14 rows of logs and ledgers: 3 findings" in bad.stderr
    assert batches.run(["!check nowhere"]).status is not ExitStatus.OK


def test_names_are_shown_without_control_characters() -> None:
    finding = Finding("torn", ("a\x1b[31m.png", *map(str, range(9))), "x", "y")
    assert str(finding) == "torn: a\\x1b[31m.png, 0, 1, 2, 3 and 5 more (x): y"
    assert str(Checked(1, 1, (finding,))) == "1 picture and 1 row of logs and ledgers: 1 finding"
